using System.Runtime.InteropServices;

namespace Kernels.Devices;

/// <summary>
/// Bad data that only a kernel can see, such as an id outside a table. A kernel writes the lowest offending index into a slot and goes on;
/// the next synchronisation of the stream throws. An assertion on the device would take the whole context with it.
/// </summary>
/// <param name="device">Where the slots are.</param>
/// <param name="isOfGraph">Kernels of a graph report here: it counts its launches itself.</param>
/// <param name="looksAlways">
/// Others may launch kernels that report, which nobody counts: the owner of a queue who captured what it was told.
/// </param>
internal sealed class DataErrorLog(Device device, bool isOfGraph = false, bool looksAlways = false) : IDisposable
{
    private const int Slots = 64;
    private const uint NoError = uint.MaxValue;

    private readonly Lock _looking = new();

    /// <summary>
    /// Held from the taking of a slot until its kernels are queued, and while slots are cleared: a report cannot come between look and
    /// clearing.
    /// </summary>
    private readonly Lock _reporting = new();
    private readonly List<(string Op, string Problem)> _reporters = [];
    private DeviceTensor<uint>? _words;
    private long _launches;
    private long _lookedAt;

    /// <summary>
    /// True when something that may report was queued and not yet looked at. Counted, not flagged: a look covers what was queued before it,
    /// and no more.
    /// </summary>
    public bool IsArmed => looksAlways || Interlocked.Read(ref _launches) != Interlocked.Read(ref _lookedAt);

    /// <summary>True when a slot was taken.</summary>
    public bool IsUsed => Volatile.Read(ref _words) is not null;

    /// <summary>A slot for kernels that are about to be queued by this thread.</summary>
    public DataErrorSlot Take(DeviceStream stream, string op, string problem)
    {
        _reporting.Enter();
        try
        {
            _words ??= Clear(stream);
            int slot = _reporters.IndexOf((op, problem));
            if (slot < 0)
            {
                // Problems differ in a few sizes at most; should they fill the log, the last slot is shared and its message is that of its
                // first user.
                slot = Math.Min(_reporters.Count, Slots - 1);
                if (_reporters.Count < Slots) _reporters.Add((op, problem));
            }

            return new DataErrorSlot(this, new TensorArgument(_words.Buffer.Memory, (ulong)slot));
        }
        catch
        {
            _reporting.Exit();
            throw;
        }
    }

    /// <summary>
    /// The thread is done with its slot: the kernels are queued, or recorded for a graph, which counts its launches itself.
    /// </summary>
    public void GiveBack()
    {
        if (!isOfGraph) Launched();
        _reporting.Exit();
    }

    /// <summary>Kernels that may report were queued.</summary>
    public void Launched() => Interlocked.Increment(ref _launches);

    /// <summary>Throws the first error that kernels have reported so far. Others stay for the next look.</summary>
    public void ThrowIfAny(DeviceStream stream)
    {
        lock (_looking)
        {
            if (!IsArmed || _words is null) return;
            long launches = Interlocked.Read(ref _launches);
            uint[] words = new uint[Slots];
            Read();
            int slot = Array.FindIndex(words, word => word != NoError);
            if (slot < 0)
            {
                // Not before: where the device failed meanwhile, the next look finds what this one did not report.
                Interlocked.Exchange(ref _lookedAt, launches);
                return;
            }

            lock (_reporting)
            {
                // Once more, as kernels may have been queued meanwhile that report to the same slot.
                Read();
                stream.Fill(_words!.Slice(slot, 1), NoError);
                (string op, string problem) = _reporters[slot];
                throw new DeviceDataException($"{op}: element {words[slot]} {problem}.", op, words[slot]);
            }

            void Read() => stream.DownloadNow(_words!.Buffer.Memory, 0, MemoryMarshal.AsBytes(words.AsSpan()));
        }
    }

    public void Dispose()
    {
        lock (_looking)
        {
            lock (_reporting)
            {
                _words?.Dispose();
                _words = null;
            }
        }
    }

    private DeviceTensor<uint> Clear(DeviceStream stream)
    {
        // Ahead of all replays, on whatever stream they run.
        if (isOfGraph) return device.Upload<uint>([.. Enumerable.Repeat(NoError, Slots)], Slots);
        DeviceTensor<uint> words = device.Allocate<uint>(Slots);
        try
        {
            stream.Fill(words, NoError);
            return words;
        }
        catch
        {
            words.Dispose();
            throw;
        }
    }
}

/// <summary>
/// A place in a <see cref="DataErrorLog"/>; dispose it when the kernels that report to it are queued. A default value is none.
/// </summary>
internal readonly struct DataErrorSlot(DataErrorLog log, TensorArgument argument) : IDisposable
{
    public TensorArgument Argument { get; } = argument;

    public void Dispose() => log?.GiveBack();
}
