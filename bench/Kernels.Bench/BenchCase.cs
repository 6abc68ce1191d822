using BenchmarkDotNet.Running;
using Kernels.Verification;

namespace Kernels.Bench;

/// <summary>A row of the case table.</summary>
public sealed record BenchCase(OpCase Op, Problem Problem, DType DType)
{
    /// <summary>Least bytes to move.</summary>
    public long Bytes => Problem.Bytes(DType.SizeInBytes());

    /// <summary>The row that a benchmark was run for.</summary>
    public static BenchCase Of(BenchmarkCase benchmark) => (BenchCase)benchmark.Parameters[nameof(OpBenchmarks.Case)];

    public override string ToString() => $"{Op.Op} {Problem.Entry} {Problem.Text} {DType.ShortName()}";
}
