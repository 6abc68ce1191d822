using Kernels.Cpu;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Optimizers;

/// <summary>
/// Norms of gradients, of rows and of penalties are right wherever the norm can be stored, although squares overflow or vanish far from
/// there.
/// </summary>
public sealed class NormTests(TestDevices devices)
{
    /// <summary>Several tiles, and not a whole number of vectors.</summary>
    private const int Length = 8299;

    /// <summary>
    /// That of a block of a few thousand terms in float; a float that adds them all is off by ten times as much and more.
    /// </summary>
    private const double LongTolerance = 1e-6;

    /// <summary>Powers of two at the ends of the types, at the ends of what squares bear, and 1.</summary>
    private static readonly (DType DType, int[] Exponents)[] Units =
    [
        (DType.Float32, [-120, -64, 0, 62, 125]),
        (DType.Float16, [-20, 0, 13]),
        (DType.BFloat16, [-120, -64, 0, 62, 125]),
        (DType.Float64, [-1000, -512, 0, 510, 1021]),
    ];

    public static TheoryData<string, DType> Rows => [.. from device in TestDevices.All from unit in Units select (device.Id, unit.DType)];

    [Theory]
    [MemberData(nameof(Rows))]
    public void NormOfThreeAndFour_IsFive(string deviceId, DType dtype)
    {
        using Sums sums = new(devices, deviceId, dtype);
        foreach (int exponent in Units.Single(unit => unit.DType == dtype).Exponents)
        {
            double unit = Math.ScaleB(1, exponent);
            double[] values = new double[2 * Length];
            (values[7], values[Length - 1]) = (3 * unit, -4 * unit);

            // A second row that is just short enough.
            (values[Length], values[^1]) = (0.375 * unit, 0.5 * unit);
            sums.CheckClipping(values[..Length], 5 * unit);
            sums.CheckRows(values, rows: 2, limit: unit, [0.6 * unit, -0.8 * unit, 0.375 * unit, 0.5 * unit]);
            sums.CheckPenalty(values[..Length], new PenaltyStrength(1 / unit, 0), 7);
            sums.CheckPenalty(values[..Length], new PenaltyStrength(0, 1 / unit / 32), 25 / 32.0 * unit);
        }
    }

    /// <summary>The norm itself overflows: what is clipped and projected by it does not.</summary>
    [Theory]
    [MemberData(nameof(Rows))]
    public void NormBeyondTheLargestNumber_StillScales(string deviceId, DType dtype)
    {
        using Sums sums = new(devices, deviceId, dtype);
        double largest = dtype switch
        {
            DType.Float64 => Math.ScaleB(1, 1023),
            DType.Float16 => Math.ScaleB(1, 15),
            _ => Math.ScaleB(1, 127),
        };
        double[] values = [largest, -largest, largest, largest];
        sums.CheckClipping(values, dtype == DType.Float16 ? 2 * largest : double.PositiveInfinity);
        sums.CheckRows(values, rows: 1, limit: 1, [0.5, -0.5, 0.5, 0.5]);
    }

    /// <summary>
    /// A row is one tile, however long: sums over it, and over as many tiles as a list can have, are as exact as short ones.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void LongSums_AreExact(string deviceId)
    {
        const int Long = 1 << 20, Many = 1 << 15;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceBuffer<float> memory = stream.Device.AllocateBuffer<float>(2 * (Long + Many));
        DeviceTensor<float> row = memory.View(0, Long), rows = memory.View(Long, Many, 1), all = memory.View(0, Long + Many);
        DeviceTensor<float> gradients = memory.View(Long + Many, Long + Many);
        stream.Fill(all, 0.1f);
        stream.Fill(gradients, 0.1f);
        using Sgd<float> sgd = new(
            stream.Device,
            [new([row, rows], [gradients.Slice(0, Long), gradients.Slice(Long, Many).Reshape(Many, 1)],
                new SgdOptions { MaximumNorm = 1 })],
            new() { MaximumGradientNorm = 1 });
        sgd.Step(stream);
        double norm = 0.1f * Math.Sqrt(Long + Many), rowNorm = 0.1f * Math.Sqrt(Long);
        Assert.Equal(1, sgd.ReadGradientNorm(stream) / norm, LongTolerance);
        Assert.Equal(1, row.Slice(0, 1).ToArray(stream)[0] * rowNorm / 0.1f, LongTolerance);

        DeviceTensor<float>[] parts = [.. Enumerable.Range(0, Many).Select(i => all.Slice(i, 1))];
        stream.Fill(all, 0.1f);
        using NormPenalty<float> penalty = new(
            stream.Device, parts, null, [.. parts.Select(_ => new PenaltyStrength(1, 0))], L2Convention.Half);
        penalty.Forward(stream);
        Assert.Equal(1, penalty.ReadValue(stream) / (0.1f * Many), LongTolerance);
    }

    /// <summary>One device and type.</summary>
    private sealed class Sums : IDisposable
    {
        private readonly DeviceStream _stream;
        private readonly DType _dtype;

        public Sums(TestDevices devices, string deviceId, DType dtype)
        {
            Device device = devices.Open(deviceId);
            Assert.SkipUnless(Verifier.Supports(device, dtype), $"{device} cannot calculate in {dtype.ShortName()}");
            (_stream, _dtype) = (device.CreateStream(), dtype);
        }

        /// <summary>A step from 0 with these gradients, clipped to 1.</summary>
        public void CheckClipping(double[] gradients, double norm)
        {
            switch (_dtype)
            {
                case DType.Float32: Clip<float>(gradients, norm); break;
                case DType.Float16: Clip<Half>(gradients, norm); break;
                case DType.BFloat16: Clip<BFloat16>(gradients, norm); break;
                default: Clip<double>(gradients, norm); break;
            }
        }

        /// <summary>A step that moves nothing; of each row what is not 0 after it.</summary>
        public void CheckRows(double[] weights, int rows, double limit, double[] expected)
        {
            switch (_dtype)
            {
                case DType.Float32: Project<float>(weights, rows, limit, expected); break;
                case DType.Float16: Project<Half>(weights, rows, limit, expected); break;
                case DType.BFloat16: Project<BFloat16>(weights, rows, limit, expected); break;
                default: Project<double>(weights, rows, limit, expected); break;
            }
        }

        public void CheckPenalty(double[] weights, PenaltyStrength strength, double expected)
        {
            switch (_dtype)
            {
                case DType.Float32: Value<float>(weights, strength, expected); break;
                case DType.Float16: Value<Half>(weights, strength, expected); break;
                case DType.BFloat16: Value<BFloat16>(weights, strength, expected); break;
                default: Value<double>(weights, strength, expected); break;
            }
        }

        public void Dispose() => _stream.Dispose();

        private void Clip<T>(double[] gradients, double norm)
            where T : unmanaged
        {
            using DeviceTensor<T> weight = Upload<T>(new double[gradients.Length], gradients.Length),
                gradient = Upload<T>(gradients, gradients.Length);
            using Sgd<T> sgd = new(_stream.Device, [new([weight], [gradient], new SgdOptions { LearningRate = 1 })], new()
            {
                MaximumGradientNorm = 1,
            });
            sgd.Step(_stream);
            AssertClose(norm, sgd.ReadGradientNorm(_stream), DType.Float32, "norm");
            double factor = Math.Min(1, double.IsInfinity(norm) ? 0.5 / gradients[0] : 1 / (norm + 1e-6));
            double[] steps = Read(weight);
            for (int i = 0; i < steps.Length; i++) AssertClose(-factor * gradients[i], steps[i], _dtype, $"step {i}");
        }

        private void Project<T>(double[] weights, int rows, double limit, double[] expected)
            where T : unmanaged
        {
            long[] shape = [rows, weights.Length / rows];
            using DeviceTensor<T> weight = Upload<T>(weights, shape), gradient = Upload<T>(new double[weights.Length], shape);
            using Sgd<T> sgd = new(_stream.Device, [new([weight], [gradient], new SgdOptions { MaximumNorm = limit })]);
            sgd.Step(_stream);
            double[] left = [.. Read(weight).Where(value => value != 0)];
            Assert.Equal(expected.Length, left.Length);
            for (int i = 0; i < left.Length; i++) AssertClose(expected[i], left[i], _dtype, $"weight {i} under a norm of {limit}");
        }

        private void Value<T>(double[] weights, PenaltyStrength strength, double expected)
            where T : unmanaged
        {
            using DeviceTensor<T> weight = Upload<T>(weights, weights.Length);
            using NormPenalty<T> penalty = new(_stream.Device, [weight], null, [strength], L2Convention.Full);
            penalty.Forward(_stream);
            AssertClose(expected, penalty.ReadValue(_stream), DType.Float32, $"{strength}");
        }

        private DeviceTensor<T> Upload<T>(double[] values, params long[] shape)
            where T : unmanaged => _stream.Device.Upload<T>([.. values.Select(CpuElement.FromDouble<T>)], shape);

        private double[] Read<T>(DeviceTensor<T> tensor)
            where T : unmanaged => [.. tensor.ToArray(_stream).Select(CpuElement.ToDouble)];

        private static void AssertClose(double expected, double actual, DType dtype, string what)
        {
            // The distance of subnormal halves is 2^-24.
            double limit = Math.Max(
                8 * Tolerance.UnitRoundoff(dtype) * Math.Abs(expected), dtype == DType.Float16 ? Math.ScaleB(1, -24) : 0);
            Assert.True(actual == expected || Math.Abs(actual - expected) <= limit, $"{what} is {actual:R}, expected {expected:R}");
        }
    }
}
