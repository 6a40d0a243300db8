"""Explicit vectors for Numba: one or more hardware registers as one value, and what to do with it.

A kernel written with them runs at the same speed whatever a compiler's vectorizer makes of its
loops, and always adds in the same order. Every operation works with a single vector or with a
tuple of vectors, one for each of several samples. Knows nothing about networks or training.
"""

from __future__ import annotations

import platform
from functools import wraps

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

HAS_AVX512 = llvmlite.binding.get_host_cpu_features().get("avx512f", False)
REGISTERS = 32 if HAS_AVX512 else 16
VECTOR_BYTES = 64 if HAS_AVX512 else 32
"""The size of a register, and the alignment of every `load` and `store`."""
FLUSH_BITS = 0x8040
"""Flush-to-zero and denormals-are-zero in the control word of an x86 core."""


class Vector(types.Type):
    """Numba's type of `lanes` numbers of one dtype."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes, self.count = dtype, lanes, 1
        self.ir = ir.VectorType({32: ir.FloatType, 64: ir.DoubleType}[dtype.bitwidth](), lanes)
        super().__init__(f"Vector({dtype}, {lanes})")


register_model(Vector)(lambda manager, kind: models.PrimitiveModel(manager, kind, kind.ir))


# Parts of the code generators below. They take and return LLVM values.


def one_of(kind):
    """Return the type of a vector or of each in a tuple."""
    return kind.dtype if isinstance(kind, types.UniTuple) else kind


def unpack(builder, value):
    """Return a list of the vectors in a tuple, or of a single one."""
    return cgutils.unpack_tuple(builder, value) if isinstance(value.type, ir.ArrayType) else [value]


def pack(builder, vectors, kind):
    """Return the inverse of `unpack`."""
    return cgutils.pack_array(builder, vectors) if isinstance(kind, types.UniTuple) else vectors[0]


def shuffle(builder, a, b, lanes):
    """Return a vector of the given lanes of a and b, of which b's come after a's."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(a, b, mask)


def spread(builder, number, kind):
    """Return a vector with the number in all lanes."""
    one = builder.insert_element(kind(ir.Undefined), number, ir.IntType(32)(0))
    return shuffle(builder, one, one, [0] * kind.count)


def address(context, builder, array, arguments, s):
    """Return the address of array.flat[at + s * stride] for arguments array, at, stride."""
    value, at, stride = arguments
    at = builder.add(at, builder.mul(stride, stride.type(s)))
    return builder.gep(context.make_array(array)(context, builder, value).data, [at])


def control_word(builder, instruction, word):
    """Let an instruction for the control word of x86 vector units read or write one; return it."""
    bits = cgutils.alloca_once_value(builder, word)
    if platform.machine().lower() in ("x86_64", "amd64"):
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
        access = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{instruction}")
        builder.call(access, [builder.bitcast(bits, cgutils.voidptr_t)])
    return builder.load(bits)


def elementwise(build):
    """Make build(builder, *vectors) a function for vectors and tuples of vectors."""

    @intrinsic
    @wraps(build)
    def define(typingctx, *kinds):
        kind = max(kinds, key=lambda kind: kind.count)

        def codegen(context, builder, signature, arguments):
            lists = [unpack(builder, argument) for argument in arguments]
            results = [
                build(builder, *(vectors[i % len(vectors)] for vectors in lists))
                for i in range(kind.count)
            ]
            return pack(builder, results, kind)

        return kind(*kinds), codegen

    return define


@elementwise
def mul(builder, a, b):
    """Return a * b."""
    return builder.fmul(a, b)


@elementwise
def fma(builder, a, b, c):
    """Return a * b + c."""
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])


@elementwise
def where_positive(builder, gate, value):
    """Return value where gate > 0 or is not a number, and 0 elsewhere."""
    zero = ir.Constant(gate.type, None)
    return builder.select(builder.fcmp_unordered(">", gate, zero), value, zero)


@elementwise
def over_root(builder, a, b, c):
    """Return a / (sqrt(b) + c), where c > 0.

    In float32 LLVM may take a processor's estimates, each with a Newton step, where it has them.
    They are for no 0, and make NaN of infinity.
    """
    is_single = b.type.element == ir.FloatType()
    flags = ["arcp", "ninf", "contract"] if is_single else []
    kind, name = ir.FunctionType(b.type, [b.type]), f"v{b.type.count}f{32 if is_single else 64}"
    sqrt = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.{name}")
    if is_single:
        b = builder.fadd(b, b.type([2.0**-126] * b.type.count))
    root = builder.call(sqrt, [b])
    root = builder.fdiv(b, root, flags=flags) if is_single else root
    return builder.fdiv(a, builder.fadd(root, c, flags=flags), flags=flags)


@intrinsic
def lanes_of(typingctx, array):
    """Return how many numbers of an array fill a register."""
    lanes = VECTOR_BYTES * 8 // array.dtype.bitwidth
    return types.intp(array), lambda context, *_: context.get_constant(types.intp, lanes)


@intrinsic
def zeros(typingctx, array, block, width):
    """Return a tuple of len(block) vectors of zeros, each of len(width) registers."""
    lanes = len(width) * VECTOR_BYTES * 8 // array.dtype.bitwidth
    kind = types.UniTuple(Vector(array.dtype, lanes), len(block))
    return kind(array, block, width), lambda context, *_: context.get_value_type(kind)(None)


@intrinsic
def load(typingctx, array, at, stride, like):
    """Return vectors in the shape of `like`: number s begins at array.flat[at + s * stride]."""

    def codegen(context, builder, signature, arguments):
        kind = one_of(like).ir.as_pointer()
        places = [address(context, builder, array, arguments[:3], s) for s in range(like.count)]
        aligned = [builder.bitcast(place, kind) for place in places]
        return pack(builder, [builder.load(p, align=VECTOR_BYTES) for p in aligned], like)

    return like(array, at, stride, like), codegen


@intrinsic
def store(typingctx, array, at, stride, vectors):
    """Do the inverse of `load`."""

    def codegen(context, builder, signature, arguments):
        for s, vector in enumerate(unpack(builder, arguments[3])):
            place = address(context, builder, array, arguments[:3], s)
            builder.store(vector, builder.bitcast(place, vector.type.as_pointer()), VECTOR_BYTES)
        return context.get_dummy_value()

    return types.none(array, at, stride, vectors), codegen


@intrinsic
def fill(typingctx, number, like):
    """Return a vector like `like` with the number in all lanes."""

    def codegen(context, builder, signature, arguments):
        return spread(builder, context.cast(builder, arguments[0], number, like.dtype), like.ir)

    return like(number, like), codegen


@intrinsic
def load_each(typingctx, array, at, like):
    """Return vectors in the shape of `like`: all lanes of number s are array.flat[at + s]."""

    def codegen(context, builder, signature, arguments):
        value, at = arguments[:2]
        next_to_it = value, at, at.type(1)
        places = [address(context, builder, array, next_to_it, s) for s in range(like.count)]
        kind = one_of(like).ir
        return pack(builder, [spread(builder, builder.load(p), kind) for p in places], like)

    return like(array, at, like), codegen


@intrinsic
def sum_products(typingctx, total, a, b):
    """Return total + a[0] * b[0] + a[1] * b[1] + ..., in two chains, which wait less."""

    def codegen(context, builder, signature, arguments):
        chains = [arguments[0], arguments[0].type(None)]
        pairs = zip(*(unpack(builder, vectors) for vectors in arguments[1:]), strict=True)
        for i, (x, y) in enumerate(pairs):
            product = builder.fmul(x, y, flags=["contract"])
            chains[i % 2] = builder.fadd(product, chains[i % 2], flags=["contract"])
        return builder.fadd(*chains)

    return total(total, a, b), codegen


@intrinsic
def lane_sums(typingctx, vectors):
    """Return the sums over the lanes of each vector, as the lanes of a single one."""
    lanes = vectors.dtype.lanes
    kind = Vector(vectors.dtype.dtype, lanes * -(-vectors.count // lanes))

    def codegen(context, builder, signature, arguments):
        rows, nothing = unpack(builder, arguments[0]), vectors.dtype.ir(None)
        for _ in range(lanes.bit_length() - 1):  # add neighbours: two rows share a vector
            rows += [nothing] * (len(rows) % 2)
            rows = [
                builder.fadd(*(shuffle(builder, a, b, range(i, 2 * lanes, 2)) for i in (0, 1)))
                for a, b in zip(rows[::2], rows[1::2], strict=True)
            ]
        return shuffle(builder, rows[0], rows[-1], range(kind.lanes))

    return kind(vectors), codegen


@intrinsic
def transposed(typingctx, square):
    """Return as many vectors as a vector has lanes, turned round."""
    lanes = square.dtype.lanes
    mixed = [i // 2 + i % 2 * lanes for i in range(2 * lanes)]  # a0 b0 a1 b1 ...

    def codegen(context, builder, signature, arguments):
        rows = unpack(builder, arguments[0])
        for _ in range(lanes.bit_length() - 1):
            rows = [
                shuffle(builder, a, b, half)
                for a, b in zip(rows[: lanes // 2], rows[lanes // 2 :], strict=True)
                for half in (mixed[:lanes], mixed[lanes:])
            ]
        return pack(builder, rows, square)

    return square(square), codegen


@intrinsic
def flush_denormals(typingctx):
    """Let this thread take denormal numbers for 0, and return its control word from before.

    On x86, where each costs 100 cycles; elsewhere nothing happens.
    """

    def codegen(context, builder, signature, arguments):
        before = control_word(builder, "stmxcsr", ir.IntType(32)(0))
        control_word(builder, "ldmxcsr", builder.or_(before, before.type(FLUSH_BITS)))
        return before

    return types.uint32(), codegen


@intrinsic
def restore_denormals(typingctx, before):
    """Give this thread the control word back that `flush_denormals` returned."""

    def codegen(context, builder, signature, arguments):
        control_word(builder, "ldmxcsr", arguments[0])
        return context.get_dummy_value()

    return types.none(types.uint32), codegen
