namespace Kernels.Native;

/// <summary>A handle: what C sees as an opaque pointer.</summary>
internal interface IHandle
{
    /// <summary>The number behind the pointer; 0 is NULL.</summary>
    nint Value { get; }
}

/// <summary>A device.</summary>
public readonly record struct CDevice(nint Value) : IHandle;

/// <summary>A queue of work on a device.</summary>
public readonly record struct CStream(nint Value) : IHandle;

/// <summary>A point in the work of a stream.</summary>
public readonly record struct CEvent(nint Value) : IHandle;

/// <summary>Captured work that can be launched again and again.</summary>
public readonly record struct CGraph(nint Value) : IHandle;

/// <summary>Memory of a device.</summary>
public readonly record struct CMemory(nint Value) : IHandle;

/// <summary>An optimizer over a list of parameters.</summary>
public readonly record struct COptimizer(nint Value) : IHandle;

/// <summary>A copy of a list of parameters.</summary>
public readonly record struct CSnapshot(nint Value) : IHandle;

/// <summary>L1 and L2 penalties over a list of parameters.</summary>
public readonly record struct CNormPenalty(nint Value) : IHandle;

/// <summary>Gradients of parameters that are used several times.</summary>
public readonly record struct CTiedGradients(nint Value) : IHandle;

/// <summary>
/// What handles stand for. A handle is a place in a table and the number of its use, so one that was freed, or never was one, is found out
/// and nothing is read through it.
/// </summary>
internal static class Handles
{
    private static readonly Lock Guard = new();
    private static readonly Stack<int> Free = [];
    private static Slot?[] _slots = new Slot?[64];
    private static int _used;
    private static uint _generation;

    public static nint Add(object target)
    {
        lock (Guard)
        {
            if (!Free.TryPop(out int place))
            {
                place = _used++;
                if (place == _slots.Length)
                {
                    // Readers hold no lock: they see the old table or the new one.
                    Slot?[] longer = new Slot?[2 * _slots.Length];
                    _slots.CopyTo(longer, 0);
                    Volatile.Write(ref _slots, longer);
                }
            }

            uint generation = ++_generation == 0 ? ++_generation : _generation;
            Volatile.Write(ref _slots[place], new Slot(target, generation));
            return (nint)(((ulong)generation << 32) | (uint)(place + 1));
        }
    }

    public static T Get<T>(nint handle, string name)
        where T : class
    {
        return Find(handle) is { } slot && slot.Target is T target ? target : throw Invalid(handle, name);
    }

    /// <summary>Frees a handle, and disposes what it stood for; NULL is nothing.</summary>
    public static void Remove<T>(nint handle, string name)
        where T : class, IDisposable
    {
        if (handle == 0) return;
        T target;
        lock (Guard)
        {
            target = Get<T>(handle, name);
            int place = PlaceOf(handle);
            Volatile.Write(ref _slots[place], null);
            Free.Push(place);
        }

        target.Dispose();
    }

    private static Slot? Find(nint handle)
    {
        Slot?[] slots = Volatile.Read(ref _slots);
        int place = PlaceOf(handle);
        return (uint)place < (uint)slots.Length && Volatile.Read(ref slots[place]) is { } slot && slot.Generation == GenerationOf(handle)
            ? slot
            : null;
    }

    private static int PlaceOf(nint handle) => unchecked((int)(uint)handle - 1);

    private static uint GenerationOf(nint handle) => (uint)((ulong)handle >> 32);

    private static InvalidHandleException Invalid(nint handle, string name)
    {
        if (handle == 0) return new InvalidHandleException($"{name} is NULL.");
        return new InvalidHandleException(Find(handle) is { } slot
            ? $"{name} is the handle of another object, {slot.Target}."
            : $"{name} is no handle, or was freed.");
    }

    private sealed record Slot(object Target, uint Generation);
}
