using System.Runtime.InteropServices;

namespace Kernels.Devices;

/// <summary>
/// Bad data that only a kernel can see, such as an id outside a table. A kernel writes the lowest offending index into a slot and goes on; the next
/// synchronisation of the stream throws. An assertion on the device would take the whole context with it.
/// </summary>
internal sealed class DataErrorLog(Device device) : IDisposable
{
    private const int Slots = 64;
    private const uint NoError = uint.MaxValue;

    private readonly Lock _looking = new();

    /// <summary>Held from the taking of a slot until its kernels are queued, and while slots are cleared: a report cannot come between look and clearing.</summary>
    private readonly Lock _reporting = new();
    private readonly List<(string Op, string Problem)> _reporters = [];
    private DeviceTensor<uint>? _words;
    private long _launches;
    private long _lookedAt;

    /// <summary>
    /// True when something that may report was queued and not yet looked at. Counted, not flagged: a look covers what was queued before it, and no more.
    /// </summary>
    public bool IsArmed => Interlocked.Read(ref _launches) != Interlocked.Read(ref _lookedAt);

    internal delegate void Download(DeviceMemory source, long sourceOffset, Span<byte> destination);

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
                // Problems differ in a few sizes at most; should they fill the log, the last slot is shared and its message is that of its first user.
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

    /// <summary>Kernels that may report are queued, and the thread is done with its slot.</summary>
    public void Queued()
    {
        Interlocked.Increment(ref _launches);
        _reporting.Exit();
    }

    /// <summary>Throws the first error that kernels have reported so far. Others stay for the next look.</summary>
    public void ThrowIfAny(DeviceStream stream, Download download)
    {
        lock (_looking)
        {
            if (!IsArmed) return;
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

            void Read() => download(_words!.Buffer.Memory, 0, MemoryMarshal.AsBytes(words.AsSpan()));
        }
    }

    public void Dispose()
    {
        lock (_reporting) _words?.Dispose();
    }

    private DeviceTensor<uint> Clear(DeviceStream stream)
    {
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

/// <summary>A place in a <see cref="DataErrorLog"/>; dispose it when the kernels that report to it are queued. A default value is none.</summary>
internal readonly struct DataErrorSlot(DataErrorLog log, TensorArgument argument) : IDisposable
{
    public TensorArgument Argument { get; } = argument;

    public void Dispose() => log?.Queued();
}
