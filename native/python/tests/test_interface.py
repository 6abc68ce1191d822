"""The ops as plain functions, over arrays of any library, and what happens to bad input."""

import array
import ctypes
import gc
import os
import subprocess
import sys
import threading
import unittest

import kernels
from kernels import _arrays

try:
    import numpy
except ImportError:
    numpy = None


def floats(*values):
    return array.array("f", values)


def single(value):
    return ctypes.c_float(value).value


def philox(key, block):
    """Philox4x32-10, written out from the paper: the four words of a block."""
    c = [block & 0xFFFFFFFF, block >> 32, key[1] & 0xFFFFFFFF, key[1] >> 32]
    k0, k1 = key[0] & 0xFFFFFFFF, key[0] >> 32
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def kept(key, count, p):
    """Which elements dropout keeps, by the rule of kernels/docs/concepts.md."""
    threshold = round((1 - p) * 65536)
    words = [word for block in range((count + 7) // 8) for word in philox(key, block)]
    lanes = [lane for word in words for lane in (word & 0xFFFF, word >> 16)]
    return [lane < threshold for lane in lanes[:count]], 65536 / threshold


class Exporter:
    """An array of any library that has DLPack: a structure of our own making, whose deleter counts."""

    exported = []  # what is in a capsule lives until its deleter is called

    def __init__(self, values, shape, strides=None, byte_offset=0, kind=(2, 32, 1), version=None, flags=0, device=(1, 0), deleter=True):
        self.values, self.device, self.deleted = values, device, 0
        self.shape = (ctypes.c_int64 * len(shape))(*shape)
        self.strides = None if strides is None else (ctypes.c_int64 * len(strides))(*strides)
        self.name = b"dltensor" if version is None else b"dltensor_versioned"
        self.deleter = _arrays._DELETER(self._delete) if deleter else None
        self.managed = _arrays._Managed() if version is None else _arrays._Versioned(major=version, minor=0, flags=flags)
        self.managed.deleter = ctypes.cast(self.deleter, ctypes.c_void_p) if deleter else None
        tensor = self.managed.tensor
        tensor.data, tensor.byte_offset, tensor.ndim = values.buffer_info()[0], byte_offset, len(shape)
        tensor.device.type, tensor.device.index = device
        tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes = kind
        tensor.shape = self.shape
        if strides is not None:
            tensor.strides = self.strides

    def _delete(self, address):
        self.deleted += 1
        self.exported.remove(self)

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **_):
        self.exported.append(self)
        return _arrays.capsule_of(ctypes.addressof(self.managed), self.name)


class OpTests(unittest.TestCase):
    def test_the_mask_is_that_of_an_independent_philox(self):
        key, p, x = (0x0123456789ABCDEF, 7 << 33 | 5), 0.3, floats(*range(1, 22))
        y = floats(*[0] * 21)
        kernels.dropout_forward(x, y, p, key)
        keeps, scale = kept(key, 21, p)
        self.assertEqual(list(y), [single(value * single(scale)) if keep else 0 for value, keep in zip(x, keeps)])

    def test_options_are_keyword_arguments_and_enums_have_names(self):
        x, y = floats(*[1] * 16), floats(*[0] * 16)
        kernels.dropout_forward(x, y, drop_probability=0.5, key=(1, 2), scaling="original", global_start=8)
        whole = floats(*[0] * 24)
        kernels.dropout_forward(floats(*[1] * 24), whole, 0.5, (1, 2), scaling="original")
        self.assertEqual(list(y), list(whole)[8:])

    def test_helpers_return_what_c_writes(self):
        shape = kernels.conv2d_output_shape([2, 3, 9, 9], [4, 3, 3, 3], stride=2, padding=1)
        self.assertEqual(shape, [2, 4, 5, 5])
        self.assertEqual(len(kernels.alpha_dropout_map(0.1)), 3)
        self.assertEqual(kernels.dropout_mask_words(33), 2)

    def test_records_are_dicts_sequences_or_one_number(self):
        x, y = floats(*range(16)), floats(*[0] * 4)
        shaped = memoryview(x).cast("B").cast("f", [1, 1, 4, 4])
        for window in (2, (2, 2), {"height": 2, "width": 2}):
            kernels.average_pool2d_forward(shaped, memoryview(y).cast("B").cast("f", [1, 1, 2, 2]), window)
            self.assertEqual(list(y), [2.5, 4.5, 10.5, 12.5])

    def test_a_record_may_hold_tensors(self):
        logits, losses = memoryview(floats(0, 0, 0, 0)).cast("B").cast("f", [2, 2]), floats(0, 0)
        kernels.cross_entropy_forward(logits, array.array("i", [0, 1]), None, losses, None)
        for loss in losses:
            self.assertAlmostEqual(loss, 0.6931472, 6)

    def test_a_graph_replays_with_a_key_on_the_device(self):
        device = kernels.Device("cpu")
        stream, key = device.create_stream(), array.array("Q", [42, 0])
        x, y = floats(*[1] * 8), floats(*[0] * 8)
        with kernels.capture(stream) as graph:
            kernels.dropout_forward(x, y, 0.5, key, stream=stream)
            kernels.random_bits_advance(key, 1, stream=stream)
        self.assertEqual(list(y), [0] * 8)
        for offset in range(3):
            graph().launch(stream)
            keeps, scale = kept((42, offset), 8, 0.5)
            self.assertEqual(list(y), [single(scale) * keep for keep in keeps])

    def test_the_table_is_complete(self):
        for name in kernels.__all__:
            self.assertTrue(hasattr(kernels, name), name)
        self.assertIn("drop_probability", str(kernels.dropout_forward))
        self.assertTrue(kernels.dropout_forward.__doc__)
        self.assertTrue(any(info.id == "cpu" and info.available for info in kernels.devices()))

    def test_threads_have_errors_of_their_own(self):
        messages = {}

        def fail(p):
            try:
                kernels.dropout_forward(floats(1), floats(1), p, (0, 0))
            except ValueError as error:
                messages[p] = str(error)

        threads = [threading.Thread(target=fail, args=(float(p),)) for p in range(2, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(messages), 8)
        for p, message in messages.items():
            self.assertIn(str(int(p)), message)


class ArrayTests(unittest.TestCase):
    @unittest.skipIf(numpy is None, "NumPy is not installed")
    def test_numpy(self):
        for dtype in (numpy.float32, numpy.float64, numpy.float16):
            x, y = -numpy.arange(6, dtype=dtype).reshape(2, 3), numpy.empty((2, 3), dtype)
            kernels.relu_forward(-x, y)
            numpy.testing.assert_array_equal(y, -x)
        x.flags.writeable = False
        kernels.relu_forward(x, y)
        with self.assertRaisesRegex(ValueError, "y is read-only"):
            kernels.relu_forward(-x, x)
        with self.assertRaisesRegex(ValueError, "(?i)strides"):
            kernels.relu_forward(numpy.ones((3, 2), numpy.float32).T, numpy.empty((2, 3), numpy.float32))
        with self.assertRaisesRegex(ValueError, "type u64"):
            kernels.relu_forward(numpy.ones(3, numpy.int64), numpy.empty(3, numpy.int64))
        with self.assertRaisesRegex(ValueError, "format"):
            kernels.relu_forward(numpy.ones(3, numpy.complex64), numpy.empty(3, numpy.complex64))
        with self.assertRaisesRegex(ValueError, "format"):
            kernels.relu_forward(numpy.ones(3, ">f4"), numpy.empty(3, ">f4"))

    @unittest.skipIf(numpy is None, "NumPy is not installed")
    def test_our_tensors_reach_other_libraries(self):
        y = kernels.empty((2, 3))
        kernels.relu_forward(memoryview(floats(-1, 2, -3, 4, -5, 6)).cast("B").cast("f", [2, 3]), y)
        for seen in (numpy.from_dlpack(y), numpy.asarray(y)):
            numpy.testing.assert_array_equal(seen, [[0, 2, 0], [4, 0, 6]])
        seen = numpy.from_dlpack(y)
        del y
        gc.collect()
        numpy.testing.assert_array_equal(seen, [[0, 2, 0], [4, 0, 6]])

    def test_what_an_array_of_dlpack_says_is_heeded(self):
        for version in (None, 1):
            given = Exporter(floats(-9, -1, 2, -3, 4), [2, 2], byte_offset=4, version=version)
            y = floats(0, 0, 0, 0)
            kernels.relu_forward(given, memoryview(y).cast("B").cast("f", [2, 2]))
            self.assertEqual(list(y), [0, 2, 0, 4])
            gc.collect()
            self.assertEqual(given.deleted, 1)

    def test_arrays_of_ctypes(self):
        x, y = ((ctypes.c_float * 3) * 2)((1, -2, 3), (-4, 5, -6)), ((ctypes.c_float * 3) * 2)()
        kernels.relu_forward(x, y)
        self.assertEqual([list(row) for row in y], [[1, 0, 3], [0, 5, 0]])
        words, key = (ctypes.c_uint32 * 4)(), (ctypes.c_uint64 * 2)(42, 1)
        kernels.random_bits_fill(words, key, 5)
        self.assertEqual(list(words), philox((42, 1), 5))

    def test_strides_of_dense_rows_are_taken_and_others_are_not(self):
        y = memoryview(floats(0, 0, 0, 0)).cast("B").cast("f", [2, 2])
        kernels.relu_forward(Exporter(floats(1, 2, 3, 4), [2, 2], strides=[2, 1]), y)
        self.assertEqual(y.tolist(), [[1, 2], [3, 4]])
        with self.assertRaisesRegex(ValueError, "(?i)stride"):
            kernels.relu_forward(Exporter(floats(1, 2, 3, 4), [2, 2], strides=[1, 2]), y)

    def test_a_deleter_that_is_null_is_not_called(self):
        y = floats(0)
        kernels.relu_forward(Exporter(floats(3), [1], deleter=False), y)
        gc.collect()
        self.assertEqual(list(y), [3])

    def test_read_only_arrays_are_read_and_not_written(self):
        y, constant = floats(0), b"\0\0\0\x40"
        kernels.relu_forward(memoryview(constant).cast("f"), y)
        self.assertEqual(list(y), [2])
        with self.assertRaisesRegex(ValueError, "y is read-only"):
            kernels.relu_forward(floats(1), memoryview(constant).cast("f"))
        self.assertEqual(constant, b"\0\0\0\x40")
        given = Exporter(floats(0), [1], version=1, flags=1)
        with self.assertRaisesRegex(ValueError, "y is read-only"):
            kernels.relu_forward(floats(1), given)
        self.assertEqual(list(given.values), [0])

    def test_arrays_that_nobody_could_take(self):
        y = floats(0)
        for given, message, exports in (
            (Exporter(floats(1), [1], version=2), "DLPack 2", 1),
            (Exporter(floats(1), [1], kind=(2, 32, 4)), "4 lanes", 1),
            (Exporter(floats(1), [1], kind=(5, 64, 1)), "code 5", 1),
            (Exporter(floats(1), [1], device=(12, 0)), "device type 12", 0),
        ):
            with self.assertRaisesRegex(ValueError, message):
                kernels.relu_forward(given, y)
            gc.collect()
            self.assertEqual(given.deleted, exports)

    def test_memory_of_others_is_given_back_once(self):
        for version in (None, 1):
            given = Exporter(floats(-1, 5), [2], version=version)
            taken = kernels.from_dlpack(given)
            kernels.relu_forward(taken, taken)
            gc.collect()
            self.assertEqual((list(given.values), given.deleted), ([0, 5], 0))
            del taken
            gc.collect()
            self.assertEqual(given.deleted, 1)

    def test_a_capsule_of_ours_that_nobody_takes_gives_its_memory_back(self):
        for version in (None, (1, 0)):
            for _ in range(3):
                kernels.empty(4).__dlpack__(max_version=version)
        with self.assertRaises(BufferError):
            kernels.empty(4).__dlpack__(copy=True)


class CopyTests(unittest.TestCase):
    def test_arrays_of_one_type_and_length(self):
        x, y = floats(1, 2, 3, 4), memoryview(floats(0, 0, 0, 0)).cast("B").cast("f", [2, 2])
        kernels.copy(x, y)
        self.assertEqual(y.tolist(), [[1, 2], [3, 4]])
        for bad, message in (
            (floats(1, 2), r"copy: \[2\] of float32 does not go into \[2, 2\] of float32"),
            (array.array("i", [1, 2, 3, 4]), r"copy: \[4\] of int32 does not go into"),
            (Exporter(floats(1, 2, 3, 4), [2, 2], strides=[1, 2]), "copy: source: .* strides"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                kernels.copy(bad, y)
        with self.assertRaisesRegex(ValueError, "read-only"):
            kernels.copy(floats(1), memoryview(b"1234").cast("f"))

    @unittest.skipUnless(any(info.id == "opencl:0" and info.available for info in kernels.devices()), "there is no OpenCL device")
    def test_opencl(self):
        key, values = (3, 4), floats(*range(1, 65))
        x, y, expected = kernels.empty(64, device="opencl:0"), kernels.empty((8, 8), device="opencl:0"), floats(*[0] * 64)
        kernels.copy(values, x)
        kernels.copy(x, y)
        kernels.dropout_forward(y, y, 0.5, key)
        kernels.dropout_forward(values, expected, 0.5, key)
        result = floats(*[0] * 64)
        kernels.copy(y, result)
        self.assertEqual(result, expected)
        self.assertEqual(y.__dlpack_device__(), (4, 0))
        taken = kernels.from_dlpack(y)
        stream = kernels.Device("opencl:0").create_stream()
        kernels.copy(taken, result, stream=stream)
        self.assertEqual(result, expected)
        with self.assertRaisesRegex(ValueError, "y: it is on cpu, what stands before it on opencl:0"):
            kernels.dropout_forward(x, result, 0.5, key)
        with self.assertRaisesRegex(ValueError, "stream is one of opencl:0, the arrays are on cpu"):
            kernels.relu_forward(values, result, stream=stream)


class BadInputTests(unittest.TestCase):
    def test_wrong_values(self):
        x, y = floats(1, 2), floats(0, 0)
        for call, error, message in (
            (lambda: kernels.dropout_forward(x, y, float("nan"), (0, 0)), ValueError, "dropProbability"),
            (lambda: kernels.dropout_forward(x, floats(1), 0.5, (0, 0)), ValueError, "Dropout.Forward"),
            (lambda: kernels.dropout_forward(x, array.array("d", [0, 0]), 0.5, (0, 0)), ValueError, "Dropout.Forward"),
            (lambda: kernels.dropout_forward(x, y, 0.5, (0, 0), scaling="none"), ValueError, "'inverted', 'original'"),
            (lambda: kernels.dropout_forward(x, y, 0.5, (0, 0), scale=2), TypeError, "'scale' is no argument"),
            (lambda: kernels.dropout_forward(x, y, 0.5), TypeError, "'key' is missing"),
            (lambda: kernels.dropout_forward(x, y, 0.5, (0, 0), 1), TypeError, "takes 4 arguments"),
            (lambda: kernels.dropout_forward([1, 2], y, 0.5, (0, 0)), TypeError, "x: list has neither"),
            (lambda: kernels.dropout_forward(None, y, 0.5, (0, 0)), TypeError, "'x' is missing"),
            (lambda: kernels.dropout_forward(x, y, "half", (0, 0)), TypeError, "dropout_forward: drop_probability: .* str"),
            (lambda: kernels.dropout_forward(x, y, 0.5, floats(0, 0)), ValueError, "key"),
            (lambda: kernels.dropout_forward(x, y, 0.5, 42), TypeError, r"key: 42 is neither \(seed, offset\)"),
            (lambda: kernels.dropout_forward(x, y, 0.5, (1, 2, 3)), TypeError, "key"),
            (lambda: kernels.dropout_forward(x, y, 0.5, (0.5, 2)), TypeError, "dropout_forward: key: "),
            (lambda: kernels.dropout_forward(x, y, 0.5, (0, 0), global_start="a"), TypeError, "dropout_forward: global_start: "),
            (lambda: kernels.dropout_forward(x, y, 0.5, (0, 0), stream=kernels.Device("cpu")), TypeError, "stream: Device is no stream"),
            (lambda: kernels.dropout_forward(x, y, 0.5, (0, 0), stream=7), TypeError, "stream: int is no stream"),
            (lambda: kernels.conv2d_output_shape([1, 1, 2, 2], [1, 1, 3, 3]), ValueError, "Conv2d"),
            (lambda: kernels.conv2d_output_shape([1, 1, 9, 9], [1, 1, 3, 3], stride="2"), TypeError, r"stride: '2' is not \(height, w"),
            (lambda: kernels.conv2d_output_shape([1, 1, 9, 9], [1, 1, 3, 3], stride=(1, 2, 3)), TypeError, "stride: "),
            (lambda: kernels.dropout_mask_words(2**64 + 1), ValueError, "dropout_mask_words: .* beyond int64_t"),
            (lambda: kernels.empty((-3, 4)), ValueError, r"empty: the shape \(-3, 4\)"),
            (lambda: kernels.empty((2**40, 2**40)), ValueError, "empty: the shape"),
            (lambda: kernels.empty(3, "complex64"), ValueError, "empty: the type 'complex64' is none of float32"),
            (lambda: kernels.from_dlpack([1]), TypeError, "from_dlpack: list has no __dlpack__"),
            (lambda: kernels.conv2d_output_shape([1, 1.5, 9, 9], [1, 1, 3, 3]), TypeError, "conv2d_output_shape: x: "),
            (lambda: kernels.conv2d_output_shape([1, 1, 9, 9], [1, 1, 3, 3], layout="rows"), ValueError, "layout: 'rows' is no"),
            (lambda: kernels.Device("cuda:99"), kernels.DeviceError, ""),
            (lambda: kernels.Device("toaster"), (ValueError, kernels.DeviceError), "toaster"),
        ):
            with self.assertRaisesRegex(error, message):
                call()
        self.assertEqual(list(y), [0, 0])

    def test_arrays_and_streams_of_two_devices(self):
        class Elsewhere:
            """An array that says it is on a GPU, where its address would be no address here."""

        struct = _arrays.struct_of(None, kernels.DType.INT32, [2])
        _arrays.adapters[Elsewhere] = lambda array: _arrays.Array(struct, "cuda:0", array)
        try:
            logits, labels = memoryview(floats(0, 0, 0, 0)).cast("B").cast("f", [2, 2]), array.array("i", [0, 1])
            losses, away = floats(0, 0), kernels.Stream(None, "cuda:0")
            for call, message in (
                (lambda: kernels.relu_forward(floats(1), Elsewhere()), "relu_forward: y: it is on cuda:0, what stands before it on cpu"),
                (lambda: kernels.cross_entropy_forward(logits, Elsewhere(), None, losses, None), "targets: labels: it is on cuda:0"),
                (lambda: kernels.cross_entropy_forward(logits, (labels, labels, Elsewhere(), None), None, losses, None), "targets: shares"),
                (lambda: kernels.dropout_forward(floats(1), floats(1), 0.5, Elsewhere()), "key: it is on cuda:0"),
                (lambda: kernels.relu_forward(floats(1), floats(1), stream=away), "stream is one of cuda:0, the arrays are on cpu"),
                (lambda: kernels.copy(floats(1, 2), floats(1, 2), stream=away), "stream is one of cuda:0"),
            ):  # fmt: skip
                with self.assertRaisesRegex(ValueError, message):
                    call()
        finally:
            del _arrays.adapters[Elsewhere]

    def test_what_is_closed_is_refused(self):
        device = kernels.Device("cpu")
        stream = device.create_stream()
        stream.close()
        with self.assertRaises(ValueError):
            stream.synchronize()
        with self.assertRaises(ValueError):
            kernels.relu_forward(floats(1), floats(1), stream=stream)
        stream.close()

    def test_bad_data_is_reported_by_the_next_wait(self):
        stream = kernels.Device("cpu").create_stream()
        logits = memoryview(floats(0, 0)).cast("B").cast("f", [1, 2])
        kernels.cross_entropy_forward(logits, array.array("i", [7]), None, floats(0), None, stream=stream)
        with self.assertRaisesRegex(kernels.BadDataError, "7|row 0|label"):
            stream.synchronize()
        stream.synchronize()

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork")
    def test_a_forked_process_is_told(self):
        script = """if True:
            import array, os, kernels
            kernels.relu_forward(array.array("f", [1]), array.array("f", [0]))
            if os.fork() == 0:
                try:
                    kernels.relu_forward(array.array("f", [1]), array.array("f", [0]))
                except RuntimeError as error:
                    os._exit(7 if "fork" in str(error) else 1)
                os._exit(2)
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        """
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.assertEqual(subprocess.run([sys.executable, "-c", script], env=environment, timeout=60, check=False).returncode, 7)

    @unittest.skipUnless(sys.platform == "linux", "there is one build of the library")
    def test_an_instruction_set_that_is_none_is_named(self):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERNELS_INSTRUCTION_SET": "x87"}
        script = "import array, kernels; kernels.relu_forward(array.array('f', [1]), array.array('f', [0]))"
        process = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
        self.assertIn("KERNELS_INSTRUCTION_SET is 'x87'; this processor has base", process.stderr)

    def test_a_program_may_end_with_everything_in_use(self):
        script = """if True:
            import kernels
            device = kernels.Device("cpu")
            stream, x = device.create_stream(), kernels.empty(4)
            with kernels.capture(stream) as graph:
                kernels.relu_forward(x, x, stream=stream)
            kept = [graph(), x.__dlpack__(), kernels.from_dlpack(x), kernels.Device("cpu")]
            kept.append(kept)  # which only the end takes apart
            raise SystemExit(7)
        """
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((process.returncode, process.stderr), (7, ""))

    def test_a_library_that_is_none_is_named(self):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERNELS_LIBRARY": "/no/such/file"}
        process = subprocess.run([sys.executable, "-c", "import kernels"], env=environment, capture_output=True, text=True, check=False)
        self.assertIn("KERNELS_LIBRARY is /no/such/file, which is no file", process.stderr)


if __name__ == "__main__":
    unittest.main()
