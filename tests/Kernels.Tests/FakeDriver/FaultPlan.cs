using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// One run of a workload in which one call of the driver fails. The workload does its work in steps: a step that fails is done again, as a
/// user would after freeing memory, and must then succeed; once the context is lost, every use must fail with the first cause, and the run
/// ends.
/// </summary>
/// <param name="failedFunction">The function that was made to fail, or null while it has not come to that.</param>
/// <param name="losesContext">Whether the failure of this function leaves a context that is lost.</param>
internal sealed class FaultPlan(Func<string?> failedFunction, Func<string, bool> losesContext)
{
    private readonly List<Action> _probes = [];

    /// <summary>What the library threw on account of the failed call, or null.</summary>
    public DeviceException? Error { get; private set; }

    /// <summary>True when the failure has happened and left nothing that works.</summary>
    public bool IsContextLost => failedFunction() is { } failed && losesContext(failed);

    /// <summary>What a user of the objects made so far could do next; must fail once the context is lost.</summary>
    public void Probe(Action use) => _probes.Add(use);

    public void Step(Action step) => Step(() =>
    {
        step();
        return 0;
    });

    public T Step<T>(Func<T> step)
    {
        try
        {
            return step();
        }
        catch (DeviceException e) when (failedFunction() is not null)
        {
            if (Error is not null) throw new InvalidOperationException($"failed again, after: {Error.Message}", e);
            Error = e;
        }

        if (!IsContextLost) return step();
        foreach (Action probe in _probes) AssertReportsFirstCause(probe);
        throw new ContextLostException();
    }

    private void AssertReportsFirstCause(Action probe)
    {
        // The first to fail may have been a release, which throws nothing; what is thrown then has the cause inside.
        DeviceException cause = Error!.InnerException as DeviceException ?? Error;
        DeviceException later = Assert.ThrowsAny<DeviceException>(probe);
        Assert.Equal((cause.Status, cause.Call, cause.Op), (later.Status, later.Call, later.Op));
        Assert.Contains(cause.Message, later.Message, StringComparison.Ordinal);
        Assert.Same(cause, later.InnerException);
    }
}

/// <summary>Ends a run whose context is lost.</summary>
internal sealed class ContextLostException : Exception;
