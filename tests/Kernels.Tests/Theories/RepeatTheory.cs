using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>The same call gives the same bits: twice in a row, and from several threads at once, each with a stream of its own.</summary>
public sealed class RepeatTheory(TestDevices devices)
{
    private const int Threads = 4;

    [Theory]
    [MemberData(nameof(CaseRows.All), MemberType = typeof(CaseRows))]
    public void EveryProblem_RepeatsBitForBit(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype);
        foreach (Problem problem in run.TellingProblems)
        {
            if (!Repeats(run.Stream, run.Op, problem, dtype)) run.Fail(problem, "", "the second run gave other bits");
        }

        run.AssertNoFailures();
    }

    [Theory]
    [MemberData(nameof(CaseRows.All), MemberType = typeof(CaseRows))]
    public void ThreadsWithStreamsOfTheirOwn_GetTheSameBits(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype);
        Problem[] problems = [.. run.SmallProblems];
        byte[][] alone = [.. problems.Select(problem => Verifier.OutputBytes(run.Stream, run.Op, problem, dtype))];

        // Threads, not the pool's tasks: the CPU device takes its helpers from the pool.
        Exception?[] errors = new Exception?[Threads];
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(index => new Thread(() => RunAll(index)))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.All(errors, Assert.Null);
        run.AssertNoFailures();

        void RunAll(int index)
        {
            try
            {
                using DeviceStream stream = run.Stream.Device.CreateStream();
                for (int turn = 0; turn < problems.Length; turn++)
                {
                    // Each thread starts elsewhere, so that different kernels meet.
                    int i = (turn + (index * problems.Length / Threads)) % problems.Length;
                    if (Verifier.OutputBytes(stream, run.Op, problems[i], dtype).AsSpan().SequenceEqual(alone[i])) continue;
                    lock (problems) run.Fail(problems[i], $"thread {index}", "other bits than alone");
                }
            }
            catch (Exception e)
            {
                errors[index] = e;
            }
        }
    }

    /// <summary>Whether two runs give the same bytes.</summary>
    internal static bool Repeats(DeviceStream stream, OpCase op, Problem problem, DType dtype) =>
        Verifier.OutputBytes(stream, op, problem, dtype).AsSpan().SequenceEqual(Verifier.OutputBytes(stream, op, problem, dtype));
}
