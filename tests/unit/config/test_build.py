from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resilient_ai.adopt.policy import settings_of
from resilient_ai.config import build_model, chain_policy, load_config, resilient_model
from resilient_ai.config.secrets import stand_in
from resilient_ai.errors import ConfigError
from resilient_ai.model import ResilientModel
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.exposure import Privacy
from resilient_ai.policies.hedge import Hedge
from resilient_ai.policies.limits import Limits
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.spending import CostCap
from resilient_ai.policies.throttle import Throttle
from resilient_ai.policies.timeouts import Timeouts

PLANTED = "sk-planted-7c1f0e9d2b"

FILE = """\
[models.big]
provider = "openai"
model = "gpt-5.2"
api_key = "env:PLANTED_KEY"
base_url = "https://example.com/v1"
context_tokens = 400_000
data_classes = ["public", "internal"]
price = { input = "1.25", output = "10.00", currency = "EUR" }
timeouts = { first_token = "8s" }
[models.other]
provider = "openai-responses"
model = "gpt-5.2-mini"
api_key = "file:key.txt"
price = { input = 1, output = 1, currency = "EUR" }
[chains.support]
models = ["big", "other"]
deadline = "20s"
reserve = "2s"
retry = { attempts = 2 }
timeouts = { attempt = "12s" }
breaker = { window = "60s" }
budget = { capacity = 100 }
limits = { concurrency = 4 }
throttle = { k = 1.5, window = "1m" }
hedge = { after = "2s", at_most = 2 }
max_cost = { per_call = "0.05", per_window = 20, window = "1h", currency = "EUR" }
on = { content_filtered = "next" }
on_interrupt = "restart"
when_all_open = "wait"
[chains.plain]
models = ["other"]
[privacy]
pseudonymise = ["personal"]
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLANTED_KEY", PLANTED)
    (tmp_path / "key.txt").write_text(PLANTED)
    path = tmp_path / "resilient.toml"
    path.write_text(FILE)
    return path


def test_a_chain_of_the_file_is_built_with_every_setting_it_has(path: Path) -> None:
    with ResilientModel.from_config(path, chain="support") as model:
        plan = model.plan
    assert plan.name == "support"
    assert [hop.label for hop in plan.hops] == ["openai:gpt-5.2", "openai:gpt-5.2-mini"]
    assert (plan.deadline, plan.reserve) == (20.0, 2.0)
    assert plan.retry == Retry(attempts=2)
    assert plan.breaker == Breaker(window=60)
    assert plan.budget == RetryBudget(capacity=100)
    assert plan.limits == Limits(concurrency=4)
    assert plan.hedge == Hedge(after=2.0, at_most=2)
    assert plan.throttle == Throttle(k=1.5, window=60.0)
    assert plan.max_cost == CostCap(per_call=0.05, per_window=20.0, window=3600.0, currency="EUR")
    assert chain_policy(load_config(path), "support").privacy == Privacy(pseudonymise=("personal",))
    assert dict(plan.on) == {"content_filtered": "next"}
    assert (plan.on_interrupt, plan.when_all_open) == ("restart", "wait")
    traits = plan.hops[0].model.traits
    assert traits.context_tokens == 400_000
    assert traits.data_classes == frozenset({"public", "internal"})
    assert traits.server_address == "example.com"
    assert traits.price is not None
    assert (traits.price.input, traits.price.output, traits.price.currency) == (1.25, 10.0, "EUR")


def test_what_the_file_leaves_out_has_the_default_of_the_policy(path: Path) -> None:
    policy = chain_policy(load_config(path), "plain")
    assert policy.retry == Retry()
    assert policy.timeouts == Timeouts()
    with ResilientModel.from_config(path, chain="plain") as model:
        assert model.plan.deadline == 120.0
        assert model.plan.when_all_open == "last_resort"


def test_the_cap_of_a_chain_holds_for_a_wrapped_client_too(path: Path) -> None:
    settings = settings_of((), "support", path, None, {})
    assert settings.max_cost == chain_policy(load_config(path), "support").max_cost
    assert settings.max_cost.active


def test_a_models_own_timeouts_take_precedence_one_by_one(path: Path) -> None:
    with ResilientModel.from_config(path, chain="support") as model:
        assert model.plan.hops[0].timeouts == Timeouts(first_token=8, attempt=12)
        assert model.plan.hops[1].timeouts == Timeouts(attempt=12)


def test_arguments_in_code_take_precedence_over_the_file(path: Path) -> None:
    with ResilientModel.from_config(path, chain="support", deadline=30, name="mine") as model:
        assert (model.plan.deadline, model.plan.name) == (30, "mine")


def test_no_key_shows_in_what_is_built_or_told(path: Path) -> None:
    config = load_config(path)
    with resilient_model(config, "support") as model:
        shown = f"{config!r}{model!r}{model.explain()}{[hop.model for hop in model.plan.hops]}{model.plan!r}"
    assert PLANTED not in shown


def test_a_key_that_is_not_there_is_an_error_with_its_line_and_only_for_chains_that_need_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLANTED_KEY")
    config = load_config(path)
    with resilient_model(config, "plain"):
        pass
    with pytest.raises(ConfigError, match="the environment variable PLANTED_KEY is not set") as caught:
        resilient_model(config, "support")
    assert (caught.value.path, caught.value.line, caught.value.key) == (str(path), 4, "models.big.api_key")


def test_a_chain_can_be_looked_at_without_its_keys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANTED_KEY")
    (path.parent / "key.txt").unlink()
    with resilient_model(load_config(path), "support", keys=stand_in) as model:
        assert "worst case" in model.explain()


def test_what_only_the_engine_refuses_has_the_line_of_its_chain(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ResilientModel.from_config(path, chain="support", deadline=1)
    assert caught.value.path == str(path)
    assert caught.value.line == 18


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that adds a provider, `acme`, and another that cannot be imported, `broken`."""
    site = tmp_path / "site"
    info = site / "acme_provider-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-provider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[resilient_ai.models]\nacme = acme_provider:make\nbroken = acme_provider:nothing\nopenai = acme_provider:nothing\n"
    )
    (site / "acme_provider.py").write_text(
        "from resilient_ai.models import FunctionModel\n"
        "made = []\n"
        "def make(name, *, region='x', client_secret=None, nested=None):\n"
        "    made.append((name, region, client_secret, nested))\n"
        "    return FunctionModel(lambda text: name)\n"
    )
    monkeypatch.syspath_prepend(site)  # pyright: ignore[reportUnknownMemberType] - untyped in pytest
    yield site
    sys.modules.pop("acme_provider", None)


def test_a_provider_of_another_package_gets_its_options_with_keys_looked_up(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_KEY", PLANTED)
    path = tmp_path / "resilient.toml"
    path.write_text(
        "[models.a]\nprovider = 'acme'\nmodel = 'm'\n"
        "options = { region = 'eu', client_secret = 'env:PLANTED_KEY', nested = { api_key = 'env:PLANTED_KEY', n = 1 } }\n"
    )
    model = build_model(load_config(path), "a")
    model.close()
    name, region, secret, nested = sys.modules["acme_provider"].made[0]
    assert (name, region, secret.reveal(), nested["api_key"].reveal(), nested["n"]) == (
        "m",
        "eu",
        PLANTED,
        PLANTED,
        1,
    )


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("provider = 'broken'\nmodel = 'm'", 2, "models.a.provider", "installed but cannot be loaded (AttributeError)"),
        ("provider = 'acme'\nmodel = 'm'\nbase_url = 'https://x'", 1, "models.a", "does not take these settings"),
        ("provider = 'acme'\nmodel = 'm'\noptions.region.client_secret = 'hunter2'", 4, "models.a.options.region.client_secret", "env:NAME"),
        ("provider = 'acmee'\nmodel = 'm'", 2, "models.a.provider", "Did you mean 'acme'?"),
    ],
)  # fmt: skip
def test_a_provider_of_another_package_that_does_not_fit_is_refused_with_its_line(
    text: str, line: int, key: str, says: str, tmp_path: Path, package: Path
) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(f"[models.a]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        build_model(load_config(path), "a")
    assert (caught.value.line, caught.value.key) == (line, key)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)
