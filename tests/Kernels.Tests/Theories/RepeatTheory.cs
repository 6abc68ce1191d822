using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// The same call gives the same bits: again on the same stream where it is long, and from several threads at once, each with a stream of
/// its own, where it is short enough for many.
/// </summary>
public sealed class RepeatTheory(TestDevices devices)
{
    private const int ManyThreads = 4;

    /// <summary>For the machine for PTX, each of whose threads goes through the kernels instruction by instruction.</summary>
    private const int FewThreads = 2;

    [Theory]
    [MemberData(nameof(CaseRows.OfOrders), MemberType = typeof(CaseRows))]
    public void EveryProblem_RepeatsBitForBit(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype);
        foreach (Trial trial in run.TellingProblems.Where(problem => !CaseRun.IsSmall(problem)).Select(run.Try))
        {
            if (!Repeats(run.Stream, trial)) run.Fail(trial.Problem, "", "the second run gave other bits");
        }

        RepeatInThreads(run, [.. run.SmallProblems.Select(run.Try)]);
        run.AssertNoFailures();
    }

    /// <summary>True when two runs give the same bytes.</summary>
    internal static bool Repeats(DeviceStream stream, Trial trial) =>
        Verifier.OutputBytes(stream, trial).AsSpan().SequenceEqual(Verifier.OutputBytes(stream, trial));

    private static void RepeatInThreads(CaseRun run, Trial[] trials)
    {
        byte[][] alone = [.. trials.Select(trial => Verifier.OutputBytes(run.Stream, trial))];

        // Threads, not the pool's tasks: the CPU device takes its helpers from the pool.
        int count = run.IsInterpreted ? FewThreads : ManyThreads;
        Exception?[] errors = new Exception?[count];
        Thread[] threads = [.. Enumerable.Range(0, count).Select(index => new Thread(() => RunAll(index)))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.All(errors, Assert.Null);

        void RunAll(int index)
        {
            try
            {
                using DeviceStream stream = run.Stream.Device.CreateStream();
                for (int turn = 0; turn < trials.Length; turn++)
                {
                    // Each thread starts elsewhere, so that different kernels meet.
                    int i = (turn + (index * trials.Length / count)) % trials.Length;
                    if (Verifier.OutputBytes(stream, trials[i]).AsSpan().SequenceEqual(alone[i])) continue;
                    lock (trials) run.Fail(trials[i].Problem, $"thread {index}", "other bits than alone");
                }
            }
            catch (Exception e)
            {
                errors[index] = e;
            }
        }
    }
}
