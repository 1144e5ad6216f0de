"""A generator of log lines that hold no personal datum and much that looks like one, in the forms of real logs."""

from __future__ import annotations

import random  # noqa: TID251 - a seeded sequence
import re
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Placeholders are filled by `_FILL`; everything else stands as it is.
TEMPLATES = (
    "{iso} INFO request_id={uuid} trace_id={hex32} span_id={hex16} status=200 took={int}ms bytes={big}",
    '{{"ts":"{iso}","level":"info","msg":"done","trace_id":"{hex32}","n":{big},"rate":{float},"epoch_ms":{ms},"ns":{ns}}}',
    "{syslog} host sshd[{pid}]: Failed password for root from {ip} port {port} ssh2",
    "{syslog} host sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}",
    "{syslog} host kernel: [{float}] eth0: link up, 1000Mbps, mac {mac}, seq {big}, ack {big}, win {port}",
    "{syslog} host kernel: usb 1-1.{digit}: New USB device found, idVendor={hex4}, idProduct={hex4}, bcdDevice= 1.{digit}0",
    '{ip} - - [{clf}] "GET /v2/{hex32}/servers?page_token=CAUQAA&limit={int} HTTP/1.1" {status} {big} "-" "curl/7.88.1" {float}',
    '{ip} - - [{clf}] "POST /api/sessions/{uuid} HTTP/2.0" {status} {int} "https://a.example/x?id={big}" "Mozilla/5.0 (X11; Linux x86_64)"',
    "{iso} ERROR [main-{digit}] o.a.h.YarnChild: Kind: YARN_AM_RM_TOKEN, Service: , Ident: (appAttemptId {{ id: 1 cluster_timestamp: {ms} }} keyId: {int})",
    "{compact} {pid} INFO dfs.DataNode$PacketResponder: Received block blk_-{ns} of size {big} from /{ip}",
    "{compact} {pid} INFO dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: {ip}:50010 is added to blk_{ns} size {big}",
    "{iso} - INFO  [SyncThread:{digit}:FileTxnLog] - Established session 0x{hex16} with negotiated timeout 10000 for client /{ip}:{port}",
    "{iso} WARN [SendWorker:{ns}:QuorumCnxManager] - Interrupted while waiting for message on queue",
    "- {ms} 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS KERNEL INFO instruction cache parity error corrected",
    "nova-compute.log.1.2017-05-16 {iso} {pid} INFO nova.virt.libvirt.imagecache [req-{uuid} - - - - -] image {uuid} at (/var/lib/{hex32}): checking",
    'nova-api.log {iso} {pid} INFO [req-{uuid} {hex32} {hex32} - - -] {ip} "GET /v2/{hex32} HTTP/1.1" status: 200 len: {int} time: 0.{big}',
    "03-17 16:13:38.811  1702  2395 D WindowManager: opening app wtoken = AppWindowToken{{{hex7} token=Token{{{hex7} ActivityRecord{{{hex7} u0 com.x.y t761}}}}}}",
    "03-17 16:13:45.466  1702 17632 W ActivityManager: Bad activity token: android.os.BinderProxy@{hex7}",
    '03-17 16:13:45.316  1702 14640 D PowerManagerService: acquire lock={big}, flags=0x1, tag="View Lock", name=com.android.phone, uid=10037, pid={pid}',
    "20171223-22:15:29:635|Step_SPUtils|30002312| getTodayTotalDetailSteps = {ms}##6993##548365##8661##12266##{big}",
    "Jul  1 09:04:33 host kernel[0]: ARPT: {float}: wl0: wl_update_tcpkeep_seq: Original Seq: {big}, Ack: {big}, Win size: 4096",
    "Jul  1 11:20:51 host sharingd[{pid}]: BTLE discovered device with hash <01faa200 00000000 0000>",
    "[10.30 16:49:06] chrome.exe - proxy.cse.example:5070 close, {int} bytes sent, {int} bytes (1.2 KB) received, lifetime 00:01",
    "2016-09-28 04:30:31, Info                  CBS    SQM: Cached package count: {int}; Session: {int}_{big} initialized; HRESULT = 0x{hex8}",
    "17/06/09 20:10:40 INFO executor.Executor: Running task {digit}.0 in stage {digit}.0 (TID {int}); broadcast_{int}_piece0 stored as bytes (est. 5.2 KB, free {float} MB)",
    "I{mmdd} 12:00:01.{int}       1 reflector.go:255] Listing and watching *v1.Pod from k8s.io/client-go@v0.2{digit}.{digit}/tools/cache/reflector.go:167",
    "pod/web-{hex10}-{hex5} created; uid={uuid}; resourceVersion={big}; image sha256:{hex64}",
    "commit {hex40} tag v{digit}.{int}.{digit}-rc{digit}+build.{compactdate} python 3.11.{digit} numpy==1.26.{digit}",
    'http_requests_total{{method="post",code="200"}} {big} {ms}',
    'process_resident_memory_bytes {big}.{digit}e+07 go_gc_duration_seconds{{quantile="0.25"}} {float}',
    "model=gpt-x-2026-01-15 prompt_tokens={int} completion_tokens={int} max_tokens=4096 token_type=bearer session_count={int} cache_key={hex12} key_id={hex8}",
    "Started user@1000.service; getty@tty1.service; react@18.2.0; sprite@2x.png; @types/node@20.11.{digit}",
    "0xdeadbeef{hex8} free(): invalid pointer 0x7f{hex10} +0100 offset=+{big} [0x{hex8}-0x{hex8}]",
    "00000000: 7f45 4c46 0201 0100 0000 0000 0000 0000  .ELF............",
    "listening ports: 22, 80, 443, 5432, 6379, 8080, 8443, 9090, 9100, 27017; range 30000-32767; {ip}/24 via {ip}",
    'shard {digit} of {int}, rows {big}-{big}, checksum {hex32}, crc32c={hex8}, etag="{hex32}-{digit}"',
    "kafka offset={ns} partition={digit} leader_epoch={int} timestamp={ms} key=null headers=[]",
    "snowflake={snow} order={big} invoice INV-{compactdate}-{int} ticket OPS-{int}",
    "retry after {float}s: attempt {digit}/{digit}, backoff 0.5 1.0 2.0 4.0, deadline in {float} s, error_code=E{int}",
    "    token = client.current_token(request)",
    "    raise AuthenticationError(message, response=err.response, body=body) from None",
    "psql: LOG:  duration: {float} ms  statement: SELECT id, key, token_count FROM sessions WHERE id = {big} LIMIT {int}",
    "checkpoint complete: wrote {int} buffers (0.1%); lsn=0/{hex8}, redo lsn=0/{hex8}; distance={int} kB",
    "dovecot: pop3-login: Aborted login (tried to use disabled plaintext auth): rip={ip}, lip={ip}",
    "unexpected token: ')' in expression; session: opened; signature: void foo(int); secret: missing; password: required",
    "uv: Resolved {int} packages in {int}ms; Prepared {digit} packages; + httpx==0.28.1; {hex64}",
    "gc 5 @{float}s 0%: 0.018+1.3+0.076 ms clock, 0.054+0.35/1.2/3.0+0.22 ms cpu, 4->4->0 MB, 5 MB goal, 2 P",
    "cpu  {big} {int} {big} {big} {int} 0 {int} 0 0 0",
    "2001:db8::{hex4} dev eth0 lladdr {mac} REACHABLE; fe80::{hex4}:{hex4}:fe00:{hex4}%eth0",
    "X-Request-Id: {uuid}; X-Amzn-Trace-Id: Root=1-{hex8}-{hex12}{hex12}; CF-RAY: {hex16}-FRA; traceparent: 00-{hex32}-{hex16}-01",
)  # fmt: skip


def _hex(length: int) -> Callable[[random.Random], str]:
    return lambda rng: "".join(rng.choice("0123456789abcdef") for _ in range(length))


_FILL: dict[str, Callable[[random.Random], str]] = {
    "iso": lambda rng: f"2026-0{rng.randrange(1, 10)}-{rng.randrange(10, 29)}T{rng.randrange(10, 24)}:{rng.randrange(10, 60)}:{rng.randrange(10, 60)}.{rng.randrange(10**6):06d}Z",
    "syslog": lambda rng: f"Dec {rng.randrange(1, 29):2d} {rng.randrange(10, 24)}:{rng.randrange(10, 60)}:{rng.randrange(10, 60)}",
    "clf": lambda rng: f"{rng.randrange(10, 29)}/Oct/2026:13:55:{rng.randrange(10, 60)} +0{rng.randrange(1, 9)}00",
    "compact": lambda rng: f"0811{rng.randrange(10, 29)} {rng.randrange(100000, 235959)}",
    "compactdate": lambda rng: f"2026{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}",
    "mmdd": lambda rng: f"{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}",
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "ip": lambda rng: ".".join(str(rng.randrange(1, 255)) for _ in range(4)),
    "mac": lambda rng: ":".join(f"{rng.randrange(256):02x}" for _ in range(6)),
    "port": lambda rng: str(rng.randrange(1024, 65536)),
    "pid": lambda rng: str(rng.randrange(100, 32768)),
    "digit": lambda rng: str(rng.randrange(1, 10)),
    "int": lambda rng: str(rng.randrange(1, 10**5)),
    "big": lambda rng: str(rng.randrange(10**7, 10**10)),
    "ms": lambda rng: str(1_400_000_000_000 + rng.randrange(4 * 10**11)),
    "ns": lambda rng: str(1_400_000_000_000_000_000 + rng.randrange(4 * 10**17)),
    "snow": lambda rng: str(10**18 + rng.randrange(10**18)),
    "float": lambda rng: f"{rng.random() * 10 ** rng.randrange(6):.6f}",
    "status": lambda rng: rng.choice(("200", "204", "301", "404", "500")),
    **{f"hex{length}": _hex(length) for length in (4, 5, 7, 8, 10, 12, 16, 32, 40, 64)},
}  # fmt: skip
_FIELD = re.compile(r"\{\{|\}\}|\{(\w+)\}")


def lines(count: int, seed: str) -> list[str]:
    """Return `count` lines, each template as often as any other."""
    rng = random.Random(seed)  # noqa: S311 - no secrecy in a test corpus
    return [_filled(TEMPLATES[number % len(TEMPLATES)], rng) for number in range(count)]


def _filled(template: str, rng: random.Random) -> str:
    return _FIELD.sub(lambda found: _FILL[found[1]](rng) if found[1] else found[0][0], template)
