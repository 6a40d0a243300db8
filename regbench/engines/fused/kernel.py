"""Train one small ReLU network on the CPU, fast: what Numba compiles.

A network is trained through many epochs while its parameters stay in a core's own cache. Its
three products are written with explicit vectors, so that up to ten samples, a block, are summed in
registers at once. Knows nothing about threads, arms or what is measured.

A row of parameters holds the weights that lead out of one unit, padded with zeros to whole
vectors. The row after a layer's last unit holds the biases, as the weights of a unit that is
always 1. `theta[r, 0]` is row r, `theta[r, 1]` its momentum; Adam has the momentum of squares in
`theta[r, 2]`:

    rows 0 .. D                the D inputs and their constant 1      (none without hidden layers)
    rows .. H, depth-1 times   the H hidden units and their constant 1
    the last row but one       the output's weights, one for each unit of the last hidden layer
    the last row               the output's bias, in column 0

`signal[r, b, s]` is what unit r sends for sample s of block b. `grid[b, s, j]` holds the same
the other way round, for the layer at work; `back[r, b, s]` and `slope[b, s, j]` are the same two
layouts for the derivatives of the loss. A unit that sends 0 for all samples needs no product in
either direction: such silent rows are passed over, and catch up on their steps (momentum, decay)
when the unit speaks again.

What Numba compiles is kept on disk until this file or `simd.py` changes; see `compilation.py`.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from regbench.engines.fused.compilation import compiled
from regbench.engines.fused.simd import (
    REGISTERS,
    fill,
    flush_denormals,
    fma,
    lane_sums,
    lanes_of,
    load,
    load_each,
    mul,
    over_root,
    restore_denormals,
    spread,
    store,
    sum_products,
    transposed,
    where_positive,
    zeros,
)

LARGEST_BLOCK = 10 if REGISTERS == 32 else 5
"""Samples that are summed at once, each in two registers."""
U64 = np.uint64


# The masks of dropout: `randomness.layer_noise` again, where and when they are needed.


@njit(inline="always")
def mix64(z):
    """Return the finalizer of SplitMix64."""
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


@njit(inline="always")
def absorb(key, coordinate):
    """Return the key that has taken in one more coordinate."""
    return mix64(key + U64(0x9E3779B97F4A7C15) * U64(coordinate + 1))


@intrinsic
def kept(typingctx, key, first, threshold, scale):
    """Return `scale` in the lanes of the units from `first` on that are kept, and 0 in others."""
    words = ir.VectorType(ir.IntType(32), scale.lanes)

    def codegen(context, builder, signature, arguments):
        def constant(*numbers):
            return words([n % 2**32 for n in numbers * (words.count // len(numbers))])

        key, first, threshold, scale = arguments
        low, high, unit, least = (
            spread(builder, builder.trunc(number, words.element), words)
            for number in (key, builder.lshr(key, key.type(32)), first, threshold)
        )
        unit = builder.add(unit, constant(*range(words.count)))
        x = builder.add(low, builder.mul(unit, constant(0x9E3779B9)))
        x = builder.mul(builder.xor(x, builder.lshr(x, constant(16))), constant(0x7FEB352D))
        x = builder.xor(x, builder.lshr(x, constant(15)))
        x = builder.mul(builder.xor(x, high), constant(0x846CA68B))
        return builder.select(builder.icmp_signed(">=", x, least), scale, scale.type(None))

    return scale(types.uint64, types.int64, types.int64, scale), codegen


@compiled
def drop(grid, seed, layer, epoch, p, scale, block):
    """Multiply grid[b, s, u] by `scale`, or by 0 with probability p."""
    blocks, samples, columns = grid.shape
    threshold = np.int64(min(np.ceil(p * 2.0**32), 2.0**32 - 1)) - 2**31
    for b in range(blocks):
        for s in range(len(block)):
            key = absorb(absorb(U64(0), seed), layer)
            key = absorb(absorb(key, b * len(block) + s), epoch)
            for j in range(0, columns, lanes_of(grid)):
                at = (b * samples + s) * columns + j
                factor = kept(key, j, threshold, scale)
                store(grid, at, 0, mul(load(grid, at, 0, scale), factor))


# One network. The arguments are those of `train`; block, width and square are tuples whose length,
# known when it is compiled, is the number of vectors that one operation takes. That of planes is
# theta.shape[1]: 2 is SGD, 3 is Adam.


@compiled
def forward(theta, signal, rows, grid, start, stop, block, width, planes):
    """Compute a layer's columns from start to stop, len(width) registers at a time.

    grid[b, s, j] = relu(sum over r in rows of signal[r, b, s] * theta[r, 0, j]).
    """
    blocks, samples, columns = grid.shape
    for b in range(blocks):
        for j in range(start, stop, len(width) * lanes_of(theta)):
            totals = zeros(theta, block, width)
            for r in rows:
                w = load(theta, len(planes) * r * columns + j, 0, totals[0])
                totals = fma(load_each(signal, (r * blocks + b) * samples, totals), w, totals)
            store(grid, b * samples * columns + j, columns, where_positive(totals, totals))


@njit(inline="always")
def step_by_adam(theta, at, w, g, rates, rate, epsilon):
    """Step the parameters w at theta.flat[at] by their gradient g; see `set_paces_`."""
    mu, beta, _, keep, _, _ = rates
    columns = theta.shape[2]
    momentum = fma(mu, load(theta, at + columns, 0, w), g)
    squares = fma(beta, load(theta, at + 2 * columns, 0, w), mul(g, g))
    store(theta, at + columns, 0, momentum)
    store(theta, at + 2 * columns, 0, squares)
    store(theta, at, 0, fma(rate, over_root(momentum, squares, epsilon), mul(keep, w)))


@compiled
def backward(theta, signal, rows, grid, back, total, rates, pace, block, planes):
    """Pass the derivatives back over some rows, and step each row on the way.

    With grid holding the derivatives of what the rows lead to, back[r, b, s] = scale * sum over j
    of grid[b, s, j] * theta[r, 0, j] where signal[r, b, s] > 0, and 0 elsewhere. Adam's gradient is
    squared when it is whole: until then `total` has it.
    """
    blocks, samples, columns = grid.shape
    mu, _, l2, keep, scale, limits = rates
    one, nil, rate, epsilon = fill(1, mu), fill(0, mu), fill(pace[0], mu), fill(pace[1], mu)
    for r in rows:
        for b in range(blocks):
            mu_, l2_ = (mu, l2) if b == 0 else (one, nil)
            rate_, keep_ = (rate, keep) if b == blocks - 1 else (nil, one)
            dots = zeros(theta, block, (0,))
            here = (r * blocks + b) * samples
            factors = load_each(signal, here, dots)
            for j in range(0, columns, lanes_of(theta)):
                at = len(planes) * r * columns + j
                w = load(theta, at, 0, mu)
                g = load(grid, b * samples * columns + j, columns, dots)
                dots = fma(g, w, dots)
                if len(planes) == 2:
                    v = load(theta, at + columns, 0, mu)
                    v = sum_products(fma(mu_, v, mul(l2_, w)), g, factors)
                    store(theta, at + columns, 0, v)
                    store(theta, at, 0, fma(rate_, v, mul(keep_, w)))
                else:
                    v = mul(l2, w) if b == 0 else load(total, j, 0, mu)
                    v = sum_products(v, g, factors)
                    if b < blocks - 1:
                        store(total, j, 0, v)
                    else:
                        step_by_adam(theta, at, w, v, rates, rate, epsilon)
            sums = lane_sums(dots)
            gate = load(signal, here, 0, sums)
            store(back, here, 0, where_positive(gate, mul(sums, fill(scale, sums))))
        shrink(theta, r, limits)


@compiled
def shrink(theta, r, limits):
    """Apply soft thresholding to one row; its momentum takes up what is cut."""
    cut, per_lr = limits
    if cut != 0:
        for j in range(theta.shape[2]):
            w = theta[r, 0, j]
            taken = min(max(w, -cut), cut)
            theta[r, 0, j] = w - taken
            theta[r, 1, j] += per_lr * taken


@compiled
def step(theta, r, paces, start, stop, gradient, rates, planes):
    """Take a step of one row at each pace from start to stop, with one gradient for all columns."""
    columns = theta.shape[2]
    mu, _, l2, keep, _, limits = rates
    for i in range(start, stop):
        rate, epsilon = fill(paces[i, 0], mu), fill(paces[i, 1], mu)
        for j in range(0, columns, lanes_of(theta)):
            at = len(planes) * r * columns + j
            w = load(theta, at, 0, mu)
            g = fma(l2, w, fill(gradient, mu))
            if len(planes) == 2:
                v = fma(mu, load(theta, at + columns, 0, mu), g)
                store(theta, at + columns, 0, v)
                store(theta, at, 0, fma(rate, v, mul(keep, w)))
            else:
                step_by_adam(theta, at, w, g, rates, rate, epsilon)
        shrink(theta, r, limits)


@compiled
def catch_up(theta, rows, rest, paces, done, rates, planes):
    """Take the rest[r] steps of the `done` ones that silent rows have put off."""
    for r in rows:
        if rest[r]:
            step(theta, r, paces, done - rest[r], done, 0, rates, planes)
            rest[r] = 0


@compiled
def set_paces_(paces, epoch, lr, mu, beta, epsilon, planes):
    """Fill in the rate of each epoch from `epoch` on and, for Adam, its epsilon.

    Adam's step, -lr * m / (1 - mu**t) / (sqrt(v / (1 - beta**t)) + epsilon), whose averages are
    m = (1 - mu) * momentum and v = (1 - beta) * squares, is rate * momentum / (sqrt(squares) +
    epsilon) with these.
    """
    paces[:, 0] = -lr
    for i in range(len(paces) if len(planes) == 3 else 0):
        root = np.sqrt((1 - beta ** (epoch + i)) / (1 - beta))
        paces[i, 0] = -lr * (1 - mu) / (1 - mu ** (epoch + i)) * root
        paces[i, 1] = epsilon * root


@compiled
def turn(source, at, stride, target, to, step, count, square):
    """Set target.flat[to + i * step + j] = source.flat[at + j * stride + i], i < count, j < lanes.

    The count is rounded up to whole squares.
    """
    like = zeros(source, square, (0,))
    for i in range(0, count, len(square)):
        store(target, to + i * step, step, transposed(load(source, at + i, stride, like)))


@compiled
def emit(grid, signal, first, units, order, square):
    """Turn grid round into signal[first : first + units] and return how many rows now speak.

    `order` becomes the row of the biases and the others that speak, then the silent rows.
    """
    blocks, samples, columns = grid.shape
    lively = np.zeros(columns, grid.dtype)
    for b in range(blocks):
        for s in range(samples):
            if s % len(square) == 0:
                source = (b * samples + s) * columns
                target = (first * blocks + b) * samples + s
                turn(grid, source, columns, signal, target, blocks * samples, columns, square)
            for j in range(columns):
                lively[j] += grid[b, s, j]
    order[0] = first + units
    low, high = 1, units
    for u in range(units):
        order[low] = order[high] = first + u
        speaks = lively[u] != 0
        low += speaks
        high -= not speaks
    return low


@compiled
def train(theta, y, share, sizes, coefficients, seed, epoch, count, scratch, block, square, planes):
    """Train one network for `count` epochs from `epoch` on; return its loss before the last update.

    `theta` is changed in place; with a count of 0 the network only leaves its answers in `guess`.
    Targets `y` and `share`, 1 / N for each sample and 0 for those that fill up the last block, are
    `(blocks, len(block))`; `sizes` are D, H and the number of hidden layers; `coefficients` and
    `scratch` are those of `Coefficients` and `Workspace`; `square` is as long as a register.
    """
    control_word = flush_denormals()
    signal, back, grid, slope, total, guess, order, rest = scratch
    blocks, samples, columns = grid.shape
    inputs, units, depth = sizes
    lanes, number, out = lanes_of(theta), theta.dtype.type, theta.shape[0] - 2
    even = columns - columns % (2 * lanes)
    lr, momentum, l2, l1, decoupled, p, beta, epsilon = coefficients
    empty = zeros(theta, block, (0,))
    vector, scale = empty[0], number(1 / (1 - p))
    per_lr = number(1 / lr) if l1 > 0 and len(planes) == 2 else number(0)
    keep, limits = fill(1 - lr * decoupled, vector), (number(lr * l1), per_lr)
    rates = fill(momentum, vector), fill(beta, vector), fill(l2, vector), keep, scale, limits
    paces = np.empty((max(count, 1), 2), theta.dtype)
    set_paces_(paces, epoch, lr, momentum, beta, epsilon, planes)
    speaking = np.full(depth + 1, inputs + 1)
    loss = number(0)
    for done in range(len(paces)):
        first = 0
        for layer in range(depth):
            if layer > 0:
                speaking[layer] = emit(grid, signal, first, units, order[first:out], square)
                for b in range(blocks):
                    for s in range(len(block)):
                        signal[first + units, b, s] = share[b, s] > 0
            rows = order[first : first + speaking[layer]]
            catch_up(theta, rows, rest, paces, done, rates, planes)
            forward(theta, signal, rows, grid, 0, even, block, (0, 0), planes)
            forward(theta, signal, rows, grid, even, columns, block, (0,), planes)
            if p > 0:
                drop(grid, seed, layer, epoch + done, p, fill(scale, vector), block)
            first += (units if layer else inputs) + 1

        loss, tilt = number(0), number(0)
        for b in range(blocks):
            dots, here = empty, b * samples * columns
            for j in range(0, columns, lanes):
                w = load(theta, len(planes) * out * columns + j, 0, vector)
                dots = fma(load(grid, here + j, columns, dots), w, dots)
            store(guess, b * samples, 0, lane_sums(dots))
            for s in range(len(block)):
                guess[b, s] += theta[out + 1, 0, 0]
                gap = guess[b, s] - y[b, s]
                loss += share[b, s] * gap * gap
                signal[out, b, s] = number(2) * share[b, s] * gap
                tilt += signal[out, b, s]
            errors = load_each(signal, (out * blocks + b) * samples, empty)
            for j in range(0, columns, lanes):
                w = load(theta, len(planes) * out * columns + j, 0, vector)
                pushed = mul(errors, mul(w, fill(scale, vector)))
                sent = load(grid, here + j, columns, empty)
                store(slope, here + j, columns, where_positive(sent, pushed))
        if count == 0:
            break
        last, pace = order[out : out + 1], (paces[done, 0], paces[done, 1])
        backward(theta, signal, last, grid, back, total, rates, pace, block, planes)
        step(theta, out + 1, paces, done, done + 1, tilt, rates, planes)

        for layer in range(depth - 1, -1, -1):
            width = units if layer else inputs
            first -= width + 1
            rows = order[first : first + speaking[layer]]
            backward(theta, signal, rows, slope, back, total, rates, pace, block, planes)
            for r in order[first + speaking[layer] : first + width + 1]:
                rest[r] += 1
                back[r] = 0
            for b in range(blocks if layer else 0):
                for j in range(0, columns, lanes):
                    source = ((first + j) * blocks + b) * samples
                    target = b * samples * columns + j
                    turn(back, source, blocks * samples, slope, target, columns, samples, square)
            slope[:, :, units:] = 0
    catch_up(theta, order, rest, paces, count, rates, planes)
    restore_denormals(control_word)
    return loss
