using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>Another library that computes the same ops on the same hardware: what ours is held against.</summary>
public abstract class Peer : IDisposable
{
    /// <summary>The reason where a peer does not have an op at all, or nobody has written it down yet.</summary>
    protected const string NoCounterpart = "no counterpart";

    /// <summary>
    /// Name and version, and what it multiplies matrices with where that matters: <c>PyTorch 2.1.0 (OpenBLAS 0.3.21)</c>.
    /// </summary>
    public abstract string Name { get; }

    /// <summary>A short name for headings: <c>PyTorch</c>.</summary>
    public virtual string Label => Name.Split(' ')[0];

    /// <summary>Why it cannot do this, as far as can be said without trying; null when it can.</summary>
    public virtual string? Reject(OpCase op, Problem problem, DType dtype) => null;

    /// <summary>Sets a problem up, ready to be timed.</summary>
    /// <param name="op">The op.</param>
    /// <param name="problem">What to compute.</param>
    /// <param name="dtype">Stored type.</param>
    /// <param name="tensors">Operands on the device, for peers that live in this process.</param>
    /// <exception cref="PeerException">The peer has no such op, or not with these settings; the message says why.</exception>
    public abstract PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors);

    public virtual void Dispose() => GC.SuppressFinalize(this);

    public override string ToString() => Name;
}

/// <summary>A problem set up in a peer.</summary>
public abstract class PeerCall : IDisposable
{
    /// <summary>The timed call, in the peer's own terms: <c>torch.nn.functional.dropout</c>.</summary>
    public abstract string Name { get; }

    public virtual void Dispose() => GC.SuppressFinalize(this);

    /// <summary>What the last repetition measured of the op in the peer's own process; null where it could not be taken there.</summary>
    internal virtual BesideTimes? Beside => null;

    /// <summary>One repetition, from cold caches and right after.</summary>
    /// <exception cref="PeerException">It failed.</exception>
    internal abstract Timing Time(DeviceTimer timer);
}

/// <summary>A call of a peer that lives in this process and queues its work on our stream.</summary>
internal sealed class QueuedCall(string name, Action queue, Action? release = null) : PeerCall
{
    public override string Name => name;

    /// <summary>Queues the work.</summary>
    public void Queue() => queue();

    public override void Dispose()
    {
        release?.Invoke();
        base.Dispose();
    }

    internal override Timing Time(DeviceTimer timer) => timer.Time(queue);
}

/// <summary>A peer cannot do something, or failed; never a defect of ours.</summary>
public sealed class PeerException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>
    /// Runs code of a peer; whatever a foreign library can do wrong short of a crash becomes a <see cref="PeerException"/>.
    /// </summary>
    internal static T Guard<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception e) when (e is DeviceException or TypeLoadException or BadImageFormatException)
        {
            // A missing library or function is a TypeLoadException.
            throw new PeerException(e.Message, e);
        }
    }
}
