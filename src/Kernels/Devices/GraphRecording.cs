namespace Kernels.Devices;

/// <summary>
/// Work that a stream was told while it was captured, in order, with all that the work needs: it keeps the memory alive, has scratch memory
/// of its own, since whoever replays it finds the same addresses, and a log of bad data of its own.
/// </summary>
internal sealed class GraphRecording(Device device) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly List<Action<DeviceStream>> _work = [];
    private readonly HashSet<DeviceMemory> _kept = [];

    ~GraphRecording() => ThreadPool.UnsafeQueueUserWorkItem(static recording => recording.LetGo(), this, preferLocal: false);

    public ScratchPool Scratch { get; } = new(device, long.MaxValue);

    public DataErrorLog Errors { get; } = new(device, isOfGraph: true);

    public GroupCounters Counters { get; } = new(device);

    /// <summary>Kernels among the work.</summary>
    public int Launches { get; private set; }

    /// <summary>The vendor's matrix product is among the work.</summary>
    public bool Multiplies { get; private set; }

    /// <summary>Work of other threads is not meant: they do not know that the stream is captured.</summary>
    public bool IsOfThisThread => _thread == Environment.CurrentManagedThreadId;

    /// <summary>Work and the memory it uses.</summary>
    public void Add(Action<DeviceStream> work, params ReadOnlySpan<DeviceMemory> memory)
    {
        foreach (DeviceMemory used in memory) Keep(used);
        _work.Add(work);
    }

    /// <summary>A kernel, whose memory is kept already.</summary>
    public void AddLaunch(Action<DeviceStream> work)
    {
        Add(work);
        Launches++;
    }

    /// <summary>A matrix product of the vendor.</summary>
    public void AddProduct(Action<DeviceStream> work, params ReadOnlySpan<DeviceMemory> memory)
    {
        Add(work, memory);
        Multiplies = true;
    }

    /// <summary>Memory that the work uses: it stays usable for it, also when its owner has disposed it.</summary>
    public void Keep(DeviceMemory memory)
    {
        lock (_lock)
        {
            if (_kept.Contains(memory)) return;
            memory.Keep();
            _kept.Add(memory);
        }
    }

    /// <summary>A copy of these bytes in host memory for as long as the recording lives.</summary>
    public unsafe DeviceMemory KeepCopyOf(ReadOnlySpan<byte> bytes)
    {
        // Disposed at once, it goes with the recording.
        using DeviceMemory memory = device.AllocateHostMemory(bytes.Length);
        bytes.CopyTo(new Span<byte>((void*)memory.Value, bytes.Length));
        Keep(memory);
        return memory;
    }

    /// <summary>Tells a stream all of the work.</summary>
    public void Play(DeviceStream stream)
    {
        foreach (Action<DeviceStream> work in _work) work(stream);
    }

    /// <summary>Lets the memory go; the log is disposed by who has looked at it.</summary>
    public void Dispose()
    {
        LetGo();
        GC.SuppressFinalize(this);
    }

    private void LetGo()
    {
        lock (_lock)
        {
            foreach (DeviceMemory memory in _kept) memory.LetGo();
            _kept.Clear();
        }

        Scratch.Dispose();
        Counters.Dispose();
    }
}

/// <summary>What a driver made of a recording.</summary>
internal interface INativeGraph : IDisposable
{
    void Launch(DeviceStream stream);
}
