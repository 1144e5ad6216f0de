"""Shapes of keys as their vendors publish them: prefix, alphabet and length.

The table is data. `keys.py` compiles it. A shape stands here only if its prefix is distinctive: vendors whose
keys are bare hexadecimal are covered by the name of the field that holds them (`key_names.py`).

Checksums that exist (GitHub and npm: CRC32 in base 62; PyPI: a macaroon) are not verified: a mistyped key is
still not for the log, and a key that fails its checksum is more often a new format than a false alarm.

Source: the vendors' documentation of their keys, the patterns published with GitHub secret scanning, and the
rule sets of gitleaks and detect-secrets, from which prefixes and lengths were collected.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HEX: Final = "0-9a-f"
ANY_HEX: Final = "0-9A-Fa-f"
UPPER: Final = "0-9A-Z"
LOWER: Final = "0-9a-z"
ALNUM: Final = "0-9A-Za-z"
URL: Final = r"0-9A-Za-z_\-"
BASE64: Final = "0-9A-Za-z+/="
DOTTED: Final = r"0-9A-Za-z_\-."
WIDE: Final = r"0-9A-Za-z_\-.=+/:~"
DIGITS: Final = "0-9"
BECH32: Final = "02-9AC-HJ-NP-Zac-hj-np-z"


# Literals that stand inside the key instead of before it: what is in front of them is key as well.
INNER: Final = frozenset({"8Q~", "7Q~", ".atlasv1.", "JQQJ99", "_mmk"})

# Prefixes that are also the end of common words, of names or of encoded data must begin a word.
WORDLIKE: Final = frozenset(
    {
        "key-",
        "sdk-",
        "api-",
        "API-",
        "mob-",
        "live_",
        "test_",
        "perm-",
        "perm:",
        "token-",
        "secret-",
        "secret_",
    }
    | {"sess-", "slk_", "pul-", "SG.", "sl.", "t1.", "re_", "fw_", "ak-", "as-", "pa-", "sk_", "fc-", "r8_"}
)

# Prefixes without punctuation that are rare enough to be believed in the middle of a word.
UNMISTAKABLE: Final = frozenset({"AKIA", "ASIA", "AIza", "GOOG1E", "JQQJ99", "GR1348941"})


class Shape(NamedTuple):
    """One published key format.

    Attributes:
        vendor: Who issues the key.
        prefix: Literal beginning, matched case-sensitively.
        alphabet: Body of a regular-expression character class for what follows.
        length: Least number of characters after the prefix; a longer body is taken whole.
    """

    vendor: str
    prefix: str
    alphabet: str
    length: int


_ROWS: Final[tuple[tuple[str, str, str, int], ...]] = (
    # Models and model hosting
    ("OpenAI", "sk-proj-", URL, 20),
    ("OpenAI", "sk-svcacct-", URL, 20),
    ("OpenAI", "sk-admin-", URL, 20),
    ("OpenAI", "sk-None-", URL, 20),
    ("OpenAI and compatible services", "sk-", ALNUM, 20),
    ("OpenAI session", "sess-", ALNUM, 36),
    ("Anthropic", "sk-ant-", URL, 20),
    ("OpenRouter", "sk-or-v1-", HEX, 40),
    ("Langfuse secret key", "sk-lf-", URL, 20),
    ("Google", "AIza", URL, 35),
    ("Google", "AQ.Ab", URL, 40),
    ("Google OAuth secret", "GOCSPX-", URL, 24),
    ("Google OAuth token", "ya29.", DOTTED, 20),
    ("Google OAuth refresh token", "1//0", URL, 30),
    ("Google HMAC key", "GOOG1E", UPPER, 20),
    ("Hugging Face", "hf_", ALNUM, 20),
    ("Hugging Face organisation", "api_org_", ALNUM, 20),
    ("Groq", "gsk_", ALNUM, 20),
    ("xAI", "xai-", ALNUM, 40),
    ("Perplexity", "pplx-", ALNUM, 32),
    ("Replicate", "r8_", ALNUM, 30),
    ("Fireworks", "fw_", ALNUM, 20),
    ("NVIDIA", "nvapi-", URL, 40),
    ("Cerebras", "csk-", ALNUM, 40),
    ("Together", "tgp_v1_", URL, 30),
    ("Anyscale", "esecret_", ALNUM, 20),
    ("LangSmith", "lsv2_", URL, 30),
    ("LangSmith", "ls__", ALNUM, 30),
    ("Langfuse public key", "pk-lf-", URL, 30),
    ("Pinecone", "pcsk_", URL, 30),
    ("Weights & Biases", "wandb_v1_", URL, 30),
    ("Modal", "ak-", ALNUM, 22),
    ("Modal", "as-", ALNUM, 22),
    ("RunPod", "rpa_", ALNUM, 30),
    ("Lambda Cloud", "secret_", ALNUM, 30),
    ("Voyage AI", "pa-", URL, 40),
    ("Jina", "jina_", URL, 30),
    ("Tavily", "tvly-", URL, 20),
    ("Firecrawl", "fc-", HEX, 32),
    ("ElevenLabs", "sk_", HEX, 40),
    ("Helicone", "sk-helicone-", URL, 20),
    # Clouds
    ("AWS access key", "AKIA", UPPER, 16),
    ("AWS temporary key", "ASIA", UPPER, 16),
    ("AWS STS bearer", "ABIA", UPPER, 16),
    ("AWS context", "ACCA", UPPER, 16),
    ("AWS role id", "AROA", UPPER, 16),
    ("AWS user id", "AIDA", UPPER, 16),
    ("AWS legacy", "A3T", UPPER, 17),
    ("Amazon Bedrock", "ABSK", BASE64, 80),
    ("Amazon Bedrock short-lived", "bedrock-api-key-", BASE64, 40),
    ("AWS session token", "FwoGZXIvYXdz", BASE64, 60),
    ("AWS session token", "IQoJb3JpZ2lu", BASE64, 60),
    ("Amazon MWS", "amzn.mws.", URL, 36),
    ("Amazon OAuth", "amzn1.oa2-cs.v1.", HEX, 60),
    ("Alibaba Cloud", "LTAI", ALNUM, 12),
    ("Tencent Cloud", "AKID", ALNUM, 28),
    ("Volcengine", "AKLT", URL, 30),
    ("Yandex API key", "AQVN", URL, 35),
    ("Yandex OAuth", "y0_", URL, 50),
    ("Yandex IAM", "t1.", DOTTED, 90),
    ("DigitalOcean", "dop_v1_", HEX, 60),
    ("DigitalOcean", "doo_v1_", HEX, 60),
    ("DigitalOcean", "dor_v1_", HEX, 60),
    ("Heroku", "HRKU-", URL, 30),
    ("Fly.io", "fo1_", URL, 40),
    ("Fly.io", "fm1a_", BASE64, 60),
    ("Fly.io", "fm1r_", BASE64, 60),
    ("Fly.io", "fm2_", BASE64, 60),
    ("Vercel", "vcp_", ALNUM, 24),
    ("Vercel", "vck_", ALNUM, 24),
    ("Vercel Blob", "vercel_blob_rw_", URL, 30),
    ("Netlify", "nfp_", ALNUM, 36),
    ("Netlify", "nfo_", ALNUM, 36),
    ("Netlify", "nfb_", ALNUM, 36),
    ("Render", "rnd_", ALNUM, 24),
    ("Scaleway", "SCW", UPPER, 17),
    ("Cloudflare Origin CA", "v1.0-", r"0-9a-f\-", 100),
    ("Databricks", "dapi", HEX, 32),
    ("Databricks", "dkea", HEX, 32),
    ("Databricks OAuth", "dose", HEX, 32),
    # Code, packages, continuous integration
    ("GitHub personal", "ghp_", ALNUM, 30),
    ("GitHub OAuth", "gho_", ALNUM, 30),
    ("GitHub user-to-server", "ghu_", ALNUM, 30),
    ("GitHub server-to-server", "ghs_", DOTTED, 30),
    ("GitHub refresh", "ghr_", ALNUM, 30),
    ("GitHub fine-grained", "github_pat_", r"0-9A-Za-z_", 36),
    ("GitLab personal", "glpat-", DOTTED, 20),
    ("GitLab deploy", "gldt-", DOTTED, 20),
    ("GitLab runner", "glrt-", DOTTED, 20),
    ("GitLab runner", "glrtr-", DOTTED, 20),
    ("GitLab runner registration", "GR1348941", URL, 20),
    ("GitLab CI job", "glcbt-", DOTTED, 20),
    ("GitLab trigger", "glptt-", URL, 20),
    ("GitLab feed", "glft-", DOTTED, 20),
    ("GitLab mail", "glimt-", DOTTED, 20),
    ("GitLab agent", "glagent-", DOTTED, 20),
    ("GitLab SCIM", "glsoat-", DOTTED, 20),
    ("GitLab OAuth secret", "gloas-", DOTTED, 20),
    ("GitLab feature flags", "glffct-", DOTTED, 20),
    ("Bitbucket", "ATBB", ALNUM, 28),
    ("Bitbucket", "ATCTT3", WIDE, 60),
    ("Atlassian", "ATATT3", WIDE, 60),
    ("Atlassian", "ATOA", WIDE, 60),
    ("npm", "npm_", ALNUM, 36),
    ("PyPI", "pypi-", URL, 50),
    ("RubyGems", "rubygems_", HEX, 40),
    ("crates.io", "cio", ALNUM, 32),
    ("Clojars", "CLOJARS_", LOWER, 60),
    ("NuGet", "oy2", LOWER, 43),
    ("Docker", "dckr_pat_", URL, 20),
    ("Docker", "dckr_oat_", URL, 20),
    ("JFrog", "AKCp", ALNUM, 60),
    ("JFrog reference", "cmVmd", ALNUM, 50),
    ("CircleCI", "CCIPAT_", URL, 30),
    ("CircleCI", "CCIPRJ_", URL, 30),
    ("Buildkite", "bkua_", HEX, 40),
    ("Buildkite agent", "bkct_", ALNUM, 30),
    ("Octopus Deploy", "API-", UPPER, 25),
    ("SonarQube", "sqp_", HEX, 40),
    ("SonarQube", "squ_", HEX, 40),
    ("SonarQube", "sqa_", HEX, 40),
    ("Sourcegraph", "sgp_", ALNUM + "_", 40),
    ("Sourcegraph", "slk_", HEX, 60),
    ("Infracost", "ico-", ALNUM, 32),
    ("Terraform Cloud", ".atlasv1.", URL, 50),
    ("Pulumi", "pul-", HEX, 40),
    ("Doppler", "dp.pt.", ALNUM, 40),
    ("Doppler service", "dp.st.", DOTTED, 40),
    ("Doppler CLI", "dp.ct.", ALNUM, 40),
    ("Doppler", "dp.sa.", ALNUM, 40),
    ("Vault service", "hvs.", URL, 24),
    ("Vault batch", "hvb.", URL, 60),
    ("Vault recovery", "hvr.", URL, 24),
    ("1Password service account", "ops_ey", WIDE, 60),
    ("1Password secret key", "A3-", UPPER + r"\-", 30),
    ("age", "AGE-SECRET-KEY-1", UPPER, 50),
    ("OpenShift", "sha256~", URL, 43),
    ("Rancher", "token-", LOWER + ":", 50),
    ("Tailscale", "tskey-", URL, 20),
    ("Defined Networking", "dnkey-", URL, 50),
    ("Prefect", "pnu_", ALNUM, 36),
    ("Prefect", "pnb_", ALNUM, 36),
    ("JetBrains", "perm:", WIDE, 40),
    ("JetBrains", "perm-", WIDE, 40),
    ("Postman", "PMAK-", HEX + r"\-", 50),
    ("ReadMe", "rdme_", LOWER, 60),
    # Azure and Microsoft
    ("Azure storage", "AccountKey=", BASE64, 40),
    ("Azure shared access", "SharedAccessKey=", BASE64, 30),
    ("Microsoft Entra client secret", "8Q~", DOTTED + "~", 31),
    ("Microsoft Entra client secret", "7Q~", DOTTED + "~", 31),
    ("Azure, annotated key", "JQQJ99", ALNUM, 20),
    ("Microsoft Teams", "webhookb2/", WIDE + "@", 60),
    ("Microsoft refresh token", "0.AX", DOTTED, 100),
    ("Microsoft refresh token", "1.AX", DOTTED, 100),
    # Talk and mail
    ("Slack bot", "xoxb-", URL, 16),
    ("Slack user", "xoxp-", URL, 16),
    ("Slack legacy", "xoxa-", URL, 16),
    ("Slack legacy", "xoxs-", URL, 16),
    ("Slack legacy", "xoxo-", URL, 16),
    ("Slack refresh", "xoxr-", URL, 16),
    ("Slack configuration", "xoxe-", URL, 16),
    ("Slack configuration", "xoxe.xox", URL, 16),
    ("Slack cookie", "xoxd-", WIDE + "%", 16),
    ("Slack client", "xoxc-", URL, 16),
    ("Slack app", "xapp-", URL, 16),
    ("Slack webhook", "hooks.slack.com/", ALNUM + "/", 20),
    ("Discord webhook", "discord.com/api/webhooks/", URL + "/", 60),
    ("Discord webhook", "discordapp.com/api/webhooks/", URL + "/", 60),
    ("SendGrid", "SG.", DOTTED, 60),
    ("Brevo", "xkeysib-", URL, 60),
    ("Brevo", "xsmtpsib-", URL, 60),
    ("Mailgun", "key-", HEX, 32),
    ("Mailgun", "pubkey-", HEX, 32),
    ("Mailersend", "mlsn.", HEX, 60),
    ("Resend", "re_", ALNUM + "_", 24),
    ("Twilio key", "SK", HEX, 32),
    ("Twilio account", "AC", HEX, 32),
    ("Telnyx", "KEY0", ALNUM + "_", 40),
    ("Intercom", "dG9rO", BASE64, 50),
    ("Typeform", "tfp_", WIDE, 40),
    ("Linear", "lin_api_", ALNUM, 32),
    ("Linear OAuth", "lin_oauth_", ALNUM, 32),
    ("Notion", "ntn_", ALNUM, 40),
    ("Airtable", "pat", DOTTED, 70),
    ("Asana", "1/", DIGITS + "a-f:/", 40),
    ("Figma", "figd_", URL, 36),
    ("Figma", "figu_", URL, 36),
    ("Frame.io", "fio-u-", URL, 60),
    ("Facebook", "EAA", ALNUM, 60),
    ("Instagram", "IGQ", URL, 60),
    ("Twitter bearer", "AAAAAAAAAAAAAAAAAAAAA", ALNUM + "%", 50),
    ("LinkedIn", "WPL_AP1.", WIDE, 16),
    # Money
    ("Stripe secret", "sk_live_", ALNUM, 16),
    ("Stripe secret", "sk_test_", ALNUM, 16),
    ("Stripe restricted", "rk_live_", ALNUM, 16),
    ("Stripe restricted", "rk_test_", ALNUM, 16),
    ("Stripe webhook", "whsec_", BASE64, 24),
    ("Stripe organisation", "sk_org_", ALNUM + "_", 16),
    ("Square", "sq0atp-", URL, 22),
    ("Square", "sq0csp-", URL, 40),
    ("Square", "EAAA", URL, 56),
    ("Braintree", "access_token$production$", LOWER + "$", 40),
    ("Braintree", "access_token$sandbox$", LOWER + "$", 40),
    ("PayPal", "A21AA", URL, 60),
    ("Plaid", "access-sandbox-", HEX + r"\-", 36),
    ("Plaid", "access-production-", HEX + r"\-", 36),
    ("Plaid", "access-development-", HEX + r"\-", 36),
    ("Flutterwave", "FLWSECK", URL, 16),
    ("Razorpay", "rzp_live_", ALNUM, 14),
    ("Razorpay", "rzp_test_", ALNUM, 14),
    ("Adyen", "AQE", BASE64, 60),
    ("GoCardless, Lob, Mollie", "live_", URL, 30),
    ("Mollie", "test_", ALNUM, 30),
    ("EasyPost", "EZAK", ALNUM, 54),
    ("EasyPost test", "EZTK", ALNUM, 54),
    ("Shippo", "shippo_live_", ANY_HEX, 40),
    ("Shippo", "shippo_test_", ANY_HEX, 40),
    ("Duffel", "duffel_live_", URL, 40),
    ("Duffel", "duffel_test_", URL, 40),
    ("Shopify", "shpat_", ANY_HEX, 32),
    ("Shopify", "shpca_", ANY_HEX, 32),
    ("Shopify", "shppa_", ANY_HEX, 32),
    ("Shopify", "shpss_", ANY_HEX, 32),
    ("SettleMint", "sm_aat_", ALNUM, 16),
    ("SettleMint", "sm_pat_", ALNUM, 16),
    ("SettleMint", "sm_sat_", ALNUM, 16),
    # Data and telemetry
    ("Grafana", "glsa_", ALNUM + "_", 40),
    ("Grafana Cloud", "glc_", BASE64, 32),
    ("Grafana legacy", "eyJrIjoi", BASE64, 60),
    ("New Relic user", "NRAK-", UPPER, 27),
    ("New Relic insert", "NRII-", URL, 30),
    ("New Relic browser", "NRJS-", HEX, 19),
    ("New Relic admin", "NRAA-", HEX, 27),
    ("Dynatrace", "dt0c01.", UPPER + ".", 80),
    ("Dynatrace", "dt0s01.", UPPER + ".", 80),
    ("Honeycomb", "hcaik_", ALNUM, 50),
    ("Honeycomb", "hcxik_", ALNUM, 50),
    ("Logfire", "pylf_", ALNUM + "_", 40),
    ("Sentry organisation", "sntrys_", BASE64 + "_", 60),
    ("Sentry user", "sntryu_", HEX, 60),
    ("PostHog", "phc_", ALNUM, 32),
    ("PostHog", "phx_", ALNUM, 32),
    ("Statsig", "secret-", ALNUM, 40),
    ("LaunchDarkly", "sdk-", HEX + r"\-", 36),
    ("LaunchDarkly", "api-", HEX + r"\-", 36),
    ("LaunchDarkly mobile", "mob-", HEX + r"\-", 36),
    ("PlanetScale", "pscale_tkn_", WIDE, 32),
    ("PlanetScale", "pscale_pw_", WIDE, 32),
    ("PlanetScale", "pscale_oauth_", WIDE, 32),
    ("Supabase", "sbp_", HEX, 40),
    ("Supabase secret", "sb_secret_", URL, 20),
    ("Neon", "napi_", LOWER, 40),
    ("Aiven", "AVNS_", URL, 18),
    ("Confluent", "cflt", BASE64, 50),
    ("ClickHouse Cloud", "4b1d", ALNUM, 38),
    ("Elastic Cloud", "essu_", BASE64, 40),
    ("Mapbox", "sk.eyJ", DOTTED, 40),
    ("Mapbox public", "pk.eyJ", DOTTED, 40),
    ("MaxMind", "_mmk", ALNUM, 0),
    ("Contentful", "CFPAT-", URL, 40),
    ("HubSpot", "pat-na1-", HEX + r"\-", 36),
    ("HubSpot", "pat-eu1-", HEX + r"\-", 36),
    ("Salesforce", "00D", ALNUM + "!._", 80),
    ("Dropbox", "sl.", URL, 100),
    ("Adobe", "p8e-", LOWER, 32),
    ("Canva", "cnvca", URL, 40),
    ("Authress", "authress_", WIDE, 60),
    ("Scalingo", "tk-us-", URL, 40),
    ("Rootly", "rootly_", HEX, 60),
    ("PagerDuty", "pdus+", WIDE, 20),
    ("Extended private key", "xprv", ALNUM, 100),
    ("Nostr", "nsec1", LOWER, 58),
)

SHAPES: Final = tuple(Shape(*row) for row in _ROWS)
