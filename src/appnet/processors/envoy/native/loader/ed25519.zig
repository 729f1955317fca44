//! Ed25519 (RFC 8032) for the loader, by Zig's own library, which comes with the compiler. `ed25519.h` declares this to C.
//! Overflows and indexes are checked in the running code, too: a flaw here would end the proxy, and open nothing.

const std = @import("std");
const Ed25519 = std.crypto.sign.Ed25519;

pub const panic = std.debug.no_panic;

const View = extern struct { data: ?[*]const u8, size: usize };

export fn ed25519_is_key(key: *const [32]u8) bool {
    return if (inPrimeOrderSubgroup(key.*)) |_| true else |_| false;
}

export fn ed25519_verify(key: *const [32]u8, signature: *const [64]u8, parts: [*]const View, count: usize) bool {
    return if (verify(key.*, signature.*, parts[0..count])) |_| true else |_| false;
}

fn inPrimeOrderSubgroup(key: [32]u8) !void {
    try Ed25519.Curve.rejectNonCanonical(key);
    const point = try Ed25519.Curve.fromBytes(key);
    try point.rejectUnexpectedSubgroup();
}

/// The equation itself, without a cofactor: S < L, and R and the key are canonical and not the neutral point.
fn verify(key: [32]u8, signature: [64]u8, parts: []const View) !void {
    try inPrimeOrderSubgroup(key);
    const public = try Ed25519.PublicKey.fromBytes(key);
    var verifier = try Ed25519.Signature.fromBytes(signature).verifier(public);
    for (parts) |part| {
        if (part.data) |data| verifier.update(data[0..part.size]);
    }
    try verifier.verifyStrict();
}
