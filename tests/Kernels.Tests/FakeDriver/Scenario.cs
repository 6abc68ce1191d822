using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// What all scenarios share: they run in a process with stand-ins for drivers, alone, and end themselves when they make no progress, so
/// that a deadlock is reported with the step it happened in.
/// </summary>
public abstract class Scenario : IDisposable
{
    internal const string ReportMark = "# ";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Timer _watchdog;
    private string _step = "the start";
    private long _lastStep = Environment.TickCount64;

    protected Scenario(string variable, string library)
    {
        Assert.SkipUnless(
            Environment.GetEnvironmentVariable(variable) == library,
            $"run by {nameof(FakeDriverTests)} in a process of its own, where {variable} is {library}");
        _watchdog = new Timer(_ => EndIfStuck(), null, Patience, TimeSpan.FromSeconds(1));
    }

    public virtual void Dispose()
    {
        _watchdog.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Says what the scenario does now; the next step must come before patience is lost.</summary>
    protected void Step(string step)
    {
        Volatile.Write(ref _step, step);
        Volatile.Write(ref _lastStep, Environment.TickCount64);
    }

    /// <summary>A line for the log of the test that started this process.</summary>
    protected static void Report(string line) => Console.WriteLine(ReportMark + line);

    /// <summary>Collects garbage until finalizers have nothing left to do.</summary>
    protected static void Collect()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    /// <summary>Waits for something that another thread is about to do.</summary>
    protected static void Eventually(Func<bool> condition, string what) =>
        Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(20)), what);

    private void EndIfStuck()
    {
        if (Environment.TickCount64 - Volatile.Read(ref _lastStep) > Patience.TotalMilliseconds)
            Environment.FailFast($"no progress for {Patience.TotalSeconds} s in {Volatile.Read(ref _step)}");
    }
}
