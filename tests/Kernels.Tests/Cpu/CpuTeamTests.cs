using Kernels.Devices.Cpu;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>Loops on several threads, from several threads.</summary>
public sealed class CpuTeamTests
{
    [Fact]
    public void ManyCallers_GetEveryPieceOnce()
    {
        const int Callers = 6, Loops = 300, Outer = 7, Inner = 5;
        Exception? failure = null;
        Thread[] callers = [.. Enumerable.Range(0, Callers).Select(_ => new Thread(Call))];
        foreach (Thread caller in callers) caller.Start();
        foreach (Thread caller in callers) caller.Join();
        Assert.Null(failure);

        void Call()
        {
            try
            {
                for (int loop = 0; loop < Loops; loop++)
                {
                    int[] calls = new int[Outer * Inner];
                    CpuTeam.Run(Outer, 4, i => CpuTeam.Run(Inner, 3, j => Interlocked.Increment(ref calls[(i * Inner) + j])));
                    Assert.All(calls, count => Assert.Equal(1, count));
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(500)]
    [InlineData(999)]
    public void AnException_EndsTheLoop_AndIsThrownAsItIs(long bad)
    {
        InvalidOperationException failure = new("bad piece");
        Action<long> body = i =>
        {
            if (i == bad) throw failure;
        };
        Assert.Same(failure, Assert.Throws<InvalidOperationException>(() => CpuTeam.Run(1000, 2, body)));
        Assert.Same(failure, Assert.Throws<InvalidOperationException>(() => CpuParallel.For(1000, body)));
        int calls = 0;
        CpuParallel.For(1000, _ => Interlocked.Increment(ref calls));
        Assert.Equal(1000, calls);
    }
}
