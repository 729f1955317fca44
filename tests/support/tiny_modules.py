"""The smallest modules a proxy can run: each stamps requests with the version it was built with.

They stand in for compiled chains where only their delivery is tested.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

from appnet.codegen.c.build import RUNTIME
from appnet.processors.envoy.build import HTTP

STAMP = "x-judged-by"

_WASM = """
#define EXPORT(name) __attribute__((export_name(#name)))
__attribute__((import_module("env"), import_name("proxy_add_header_map_value")))
extern int add_header(int map, const char *key, int key_size, const char *value, int value_size);
EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
static char heap[1 << 16];
EXPORT(malloc) void *allocate(int size) { (void)size; return heap; }
EXPORT(proxy_on_context_create) void create(int id, int parent) { (void)id; (void)parent; }
EXPORT(proxy_on_configure) int configure(int id, int size) { (void)id; (void)size; return ACCEPTS; }
EXPORT(proxy_on_request_headers) int headers(int id, int count, int end) {
  (void)id; (void)count; (void)end;
  add_header(0, STAMP, sizeof STAMP - 1, VERSION, sizeof VERSION - 1);
  return 0;
}
"""


@functools.cache
def stamping_wasm(version: str, *, accepts: bool = True) -> bytes:
    """A proxy-wasm module that adds ``STAMP: version``; without ``accepts`` it refuses to be configured."""
    flags = ["-target", "wasm32-freestanding", "-nostdlib", "-Wl,--no-entry"]
    return _compile(_WASM.replace("ACCEPTS", str(int(accepts))), version, flags)


_NATIVE = """
#include "module.h"
struct an_instance { an_services services; };
struct an_http_call { an_instance *instance; void *host; };
void *malloc(size_t);
void free(void *);
static an_instance *instance_new(const an_services *services, const an_options *options, const an_carrier *carrier) {
  (void)carrier;
  (void)options;
  an_instance *instance = malloc(sizeof *instance);
  instance->services = *services;
  return instance;
}
static void instance_free(an_instance *instance) { free(instance); }
static an_http_call *call_new(an_instance *instance, void *host) {
  an_http_call *call = malloc(sizeof *call);
  *call = (an_http_call){instance, host};
  return call;
}
static void call_free(an_http_call *call) { free(call); }
static an_action request_headers(an_http_call *call, bool end) {
  (void)end;
  an_view key = {(const uint8_t *)STAMP, sizeof STAMP - 1}, value = {(const uint8_t *)VERSION, sizeof VERSION - 1};
  call->instance->services.metadata_set(call->host, AN_REQUEST_METADATA, key, value);
  return AN_CONTINUE;
}
static an_action headers(an_http_call *call, bool end) { (void)call; (void)end; return AN_CONTINUE; }
static an_action body(an_http_call *call, const an_view *chunks, size_t count, bool end) {
  (void)call; (void)chunks; (void)count; (void)end;
  return AN_CONTINUE;
}
static an_action trailers(an_http_call *call) { (void)call; return AN_CONTINUE; }
static void over(an_http_call *call) { (void)call; }
static void local_reply(an_http_call *call, uint32_t status) { (void)call; (void)status; }
static const an_outcome *outcome(const an_http_call *call) { static an_outcome none; (void)call; return &none; }
static uint8_t *take(an_instance *instance, size_t *size) { (void)instance; *size = 0; return 0; }
static uint8_t *spans(an_instance *instance, size_t *size, uint64_t *count) { *count = 0; return take(instance, size); }
static void lost(an_instance *instance, uint64_t count) { (void)instance; (void)count; }
static void share(an_instance *instance, uint32_t of) { (void)instance; (void)of; }
static bool pending(an_instance *instance) { (void)instance; return false; }
static void release(uint8_t *bytes) { (void)bytes; }
__attribute__((visibility("default"))) const an_module appnet_module = {
  .abi = ABI, .size = sizeof(an_module), .name = "stamp", .version = VERSION,
  .instance_new = instance_new, .instance_free = instance_free, .call_new = call_new, .call_free = call_free,
  .request_headers = request_headers, .request_body = body, .request_trailers = trailers,
  .response_headers = headers, .response_body = body, .response_trailers = trailers,
  .local_reply = local_reply, .response_over = over, .outcome = outcome, .telemetry_take = take, .telemetry_pending = pending,
  .metrics_take = take, .metrics_pending = pending,
  .spans_take = spans, .spans_pending = pending, .spans_lost = lost, .spans_share = share, .state_dump = take, .release = release,
};
"""


@functools.cache
def stamping_native(version: str, *, abi: str = "AN_MODULE_ABI") -> bytes:
    """A native chain that sets ``STAMP: version``; any other ``abi`` makes one that a loader has to refuse."""
    return _compile(_NATIVE.replace("ABI,", f"{abi},", 1), version, ["-shared", "-fPIC", f"-I{RUNTIME}", f"-I{HTTP}"])


def opening_native(mark: str) -> bytes:
    """A native chain that makes the file ``mark`` when the dynamic linker opens it."""
    opening = f"""
#include <stdio.h>
__attribute__((constructor)) static void opened(void) {{ fclose(fopen("{mark}", "w")); }}
"""
    flags = ["-shared", "-fPIC", f"-I{RUNTIME}", f"-I{HTTP}"]
    return _compile(_NATIVE.replace("ABI,", "AN_MODULE_ABI,", 1) + opening, "opened", flags)


def _compile(source: str, version: str, flags: list[str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file, module = Path(folder, "module.c"), Path(folder, "module")
        file.write_text(f'#define STAMP "{STAMP}"\n#define VERSION "{version}"\n{source}')
        command = [sys.executable, "-m", "ziglang", "cc", "-O2", *flags, "-o", str(module), str(file)]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return module.read_bytes()
