"""`wrap`: resilience for the client an application already has.

The client stays what it was (the same object, attributes, types and exceptions), and every call of it gets the deadline, the retries, the
breaker and the fallback of the policy. Whoever answers, the SDK makes its own objects of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from resilient_ai.adopt import boto, hooks, transports
from resilient_ai.adopt.policy import Policy, settings_of
from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    import os

    from resilient_ai.adopt.own import OwnPrice
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.core.clock import Clock, Random
    from resilient_ai.core.events import Observer
    from resilient_ai.core.model import Model
    from resilient_ai.judging import ClassifyHook
    from resilient_ai.messages import DataClassName
    from resilient_ai.output import OutputCheck
    from resilient_ai.policies.breaker import Breaker
    from resilient_ai.policies.budget import RetryBudget
    from resilient_ai.policies.exposure import Privacy
    from resilient_ai.policies.fallback import WhenAllOpen
    from resilient_ai.policies.limits import Limits
    from resilient_ai.policies.retry import Retry
    from resilient_ai.policies.spending import CostCap
    from resilient_ai.policies.throttle import Throttle
    from resilient_ai.policies.timeouts import Timeouts

__all__ = ["Policy", "policy_of", "unwrap", "wrap"]

ClientT = TypeVar("ClientT")


def wrap(
    client: ClientT,
    *,
    fallback: str | Model | Callable[..., object] | Iterable[str | Model | Callable[..., object]] = (),
    deadline: float | None = None,
    retry: Retry | None = None,
    timeouts: Timeouts | None = None,
    breaker: Breaker | None = None,
    budget: RetryBudget | None = None,
    limits: Limits | None = None,
    throttle: Throttle | None = None,
    reserve: float | None = None,
    on: Mapping[str, str] | None = None,
    when_all_open: WhenAllOpen | None = None,
    checks: Sequence[OutputCheck] | None = None,
    verify_answers: bool | None = None,
    observers: Sequence[Observer] | None = None,
    classify: ClassifyHook | None = None,
    data_class: DataClassName | None = None,
    max_cost: CostCap | None = None,
    price: OwnPrice = None,
    privacy: Privacy | None = None,
    name: str | None = None,
    clock: Clock | None = None,
    chance: Random | None = None,
    chain: str | None = None,
    config: str | os.PathLike[str] | None = None,
    hedge: None = None,
) -> ClientT:
    """Makes the SDK client `client` resilient, in place, and returns it.

    Wrapping it again replaces the policy; a call under way ends under the one it began with. Copies made of it (`with_options`) and resources
    taken from it follow the policy too. From one thread at a time.

    Args:
        client: A client of openai (Azure's too), anthropic, groq or together, blocking or asynchronous; boto3's of bedrock-runtime; or any
            object that sends by an httpx or httpx2 client it holds (mistralai, google-genai, cohere, ollama).
        fallback: Who answers, in order, when the client's own provider does not.
        deadline: Seconds a call may take, over all attempts, pauses and models. None sets no deadline: the client's own timeouts stand.
        retry: How often the provider is asked again; None takes the client's own `max_retries`, or the default where it has none.
        timeouts: The clocks of one attempt; None takes the client's own.
        breaker: When the provider is left alone.
        budget: How many retries all callers of a model may spend together.
        limits: How much is sent at a time.
        throttle: How much of what a model refuses for load is kept from it; None keeps back nothing.
        reserve: Seconds kept for each fallback while the ones before it are tried; None learns them.
        on: What to do per failure kind instead of the default: `retry`, `next`, `raise` or `wait`.
        when_all_open: What to do when every breaker is open.
        checks: Called with every answer.
        verify_answers: False takes whatever comes whole and with a good status for an answer, as the SDK alone does: for a vendor who
            answers in a way of its own. A stream, or a body the caller reads by itself, counts as an answer once it is open: what it brings,
            its end, its clocks and its `checks` are the caller's affair. None, as True, takes a web page, `{}` or an answer without content
            for a failure, and guards streams.
        observers: Called with every event of this client, besides those `observe()` switched on.
        classify: Reads an exception before the library does.
        data_class: How sensitive what this client sends is; fallbacks not cleared for it are skipped, or asked as `privacy` says.
        max_cost: What a call, and all calls of the client in a window, may cost at most. Calls that ask no model for an answer do not count.
        price: What the client's own models cost: one price for all, or one by the model's name; "auto" looks it up in `genai-prices` (extra
            `prices`). None takes what the configuration file says of the models at the client's host, and is else unknown.
        privacy: What a fallback may be shown that is not cleared for `data_class`. The client's own provider is sent what the application
            wrote, always.
        name: The policy's name in telemetry.
        clock: Where time comes from; None is the system's.
        chance: Where jitter comes from; None is seeded by the system.
        chain: A chain of the configuration file; what is not given here comes from it, its models too, but those at the client's own host.
        config: The configuration file; None looks for it.
        hedge: Nothing: an SDK has no place for a second request, and the error says what has.

    Raises:
        ConfigError: `client` cannot be adopted, the policies contradict each other, or a cap cannot be kept because what something costs is
            unknown; of a model the client names for the first time, its call raises that, before anything is sent.
    """
    if hedge is not None:
        raise _no_hedge()
    sdk: Any = client
    way = _way_of(sdk)
    options: dict[str, Any] = {
        "deadline": deadline,
        "reserve": reserve,
        "retry": retry,
        "timeouts": timeouts,
        "breaker": breaker,
        "budget": budget,
        "limits": limits,
        "throttle": throttle,
        "on": on,
        "when_all_open": when_all_open,
        "checks": checks,
        "verify_answers": verify_answers,
        "observers": observers,
        "classify": classify,
        "data_class": data_class,
        "max_cost": max_cost,
        "price": price,
        "privacy": privacy,
        "name": name,
        "clock": clock,
        "chance": chance,
    }
    anybody, attempts = way.primary(), way.attempts()
    settings = settings_of(
        fallback,
        chain,
        config,
        anybody.traits.server_address,
        {key: value for key, value in options.items() if value is not None},
    )
    policy = Policy(settings, anybody, attempts=attempts)
    unwrap(client)
    way.adopt(policy, attempts)
    return client


def unwrap(client: ClientT) -> ClientT:
    """Gives `client` back its own behaviour, and returns it. Does nothing to a client that is not wrapped.

    A call under way ends under the policy, and so does a stream that is open. What others have put on the client since `wrap` stays. Copies
    made before (`with_options`) keep the policy. From one thread at a time.

    Raises:
        ConfigError: Calls are under way, and somebody else has put a class of their own over the client's since `wrap`.
    """
    if boto.is_boto(client):
        boto.release(client)
    elif hooks.fits(client):
        hooks.release(client)
    else:
        transports.release(client)
    return client


def policy_of(client: object) -> Policy:
    """The policy a wrapped client follows: `policy_of(client).explain("gpt-5.2")`, `.health(...)`.

    Raises:
        ConfigError: `client` is not wrapped.
    """
    policy: Policy | None = getattr(type(client), hooks.POLICY, None) or transports.policy_in(client)
    if policy is None:
        raise ConfigError(
            f"This {type(client).__qualname__} is not wrapped; call wrap(client) first.", key="client"
        )
    return policy


def _no_hedge() -> ConfigError:
    return ConfigError(
        "wrap takes no hedge: the loop of an SDK asks for its next request only after the last. Decorate the function that calls this client with "
        "@resilient(hedge=Hedge()), which may then call it twice at a time, or ask through ResilientModel([...], hedge=Hedge()).",
        key="hedge",
    )


class _Way(NamedTuple):
    """How one kind of client is adopted."""

    primary: Callable[[], Primary]
    attempts: Callable[[], int]
    adopt: Callable[[Policy, int], None]


def _way_of(sdk: Any) -> _Way:
    """The way in to `sdk`.

    Raises:
        ConfigError: There is none.
    """
    if hooks.fits(sdk):

        def adopt(policy: Policy, attempts: int) -> None:  # noqa: ARG001 - the SDK tells them itself, call by call
            hooks.adopt(sdk, policy)

        return _Way(
            lambda: hooks.primary_of(sdk, "any", "any"), lambda: max(0, int(sdk.max_retries)) + 1, adopt
        )
    if boto.is_boto(sdk):
        boto.check(sdk)
        return _Way(partial(boto.primary_of, sdk), partial(boto.attempts_of, sdk), partial(boto.adopt, sdk))
    if hooks.fits(getattr(sdk, "_client", None)):
        raise ConfigError(
            f"{type(sdk).__qualname__} is a part of a client; wrap the client, and all its parts follow the policy.",
            key="client",
        )
    for http in transports.http_clients(sdk):
        return _Way(
            partial(transports.primary_of, sdk, http),
            partial(transports.attempts_of, sdk),
            partial(transports.adopt, sdk),
        )
    if isinstance(sdk, type):
        raise ConfigError(f"{sdk.__name__} is a class; wrap a client made of it.", key="client")
    raise ConfigError(
        f"An object of type {type(sdk).__module__}.{type(sdk).__qualname__} cannot be wrapped. Clients of openai (AzureOpenAI too), anthropic, groq and together "
        "can, boto3's of bedrock-runtime, and every object that sends by an httpx or httpx2 client it holds (mistralai, google-genai, cohere, "
        "ollama). For anything else decorate the function that calls it with @resilient, or put that function in a chain.",
        key="client",
    )
