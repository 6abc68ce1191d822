namespace Kernels.Verification;

/// <summary>One measurement of an op.</summary>
/// <param name="Milliseconds">Median device time.</param>
/// <param name="Bytes">Least bytes the op must move.</param>
/// <param name="CopyMilliseconds">Median time of a copy that moves as many bytes, measured between the op's own repetitions.</param>
/// <param name="Flops">Multiplications and additions, 0 for memory-bound ops.</param>
public sealed record Measurement(OpCase Op, Problem Problem, DType DType, double Milliseconds, long Bytes, double CopyMilliseconds, long Flops)
{
    public double GigabytesPerSecond => Bytes / Milliseconds / 1e6;

    public double FractionOfCopy => CopyMilliseconds / Milliseconds;

    public double Gflops => Flops / Milliseconds / 1e6;
}

/// <summary>
/// Times the cases' bench problems. Each repetition times the op and then a copy of as many bytes, so that both see the same machine; medians are
/// reported. Before every timed run a large buffer is rewritten, so that inputs come from memory and not from a cache.
/// </summary>
public sealed class Benchmark : IDisposable
{
    /// <summary>More than the last-level cache of common devices.</summary>
    private const long FlushBytes = 256L << 20;

    private const int WarmUps = 3;
    private const int MinimumRepetitions = 7;
    private const int MaximumRepetitions = 60;
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(2);

    private readonly DeviceStream _stream;
    private readonly DeviceTensor<byte> _flush;

    public Benchmark(DeviceStream stream)
    {
        _stream = stream;
        _flush = stream.Device.Allocate<byte>(FlushBytes);
    }

    /// <summary>Times one problem.</summary>
    public Measurement Run(OpCase op, Problem problem, DType dtype)
    {
        long bytes = problem.Bytes(dtype.SizeInBytes());
        using GuardedTensors tensors = new(_stream, op.Tensors(problem, dtype, Verifier.DefaultSeed));
        using DeviceTensor<byte> source = _stream.Device.Allocate<byte>(Math.Max(64, bytes / 2));
        using DeviceTensor<byte> target = _stream.Device.Allocate<byte>(Math.Max(64, bytes / 2));
        _stream.Fill(source, (byte)1);

        List<double> times = [], copies = [];
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        for (int run = -WarmUps; run < MaximumRepetitions; run++)
        {
            double time = Cold(() => op.Run(_stream, problem, dtype, tensors));
            double copy = Cold(() => _stream.Copy(source, target));
            if (run < 0) continue;
            times.Add(time);
            copies.Add(copy);
            if (times.Count >= MinimumRepetitions && System.Diagnostics.Stopwatch.GetElapsedTime(started) > Budget) break;
        }

        return new Measurement(op, problem, dtype, 1e3 * Stopwatch.Median(times), bytes, 1e3 * Stopwatch.Median(copies), problem.Flops);
    }

    public void Dispose() => _flush.Dispose();

    private double Cold(Action work)
    {
        _stream.Fill(_flush, (byte)0);
        return Stopwatch.Seconds(_stream, work);
    }
}
