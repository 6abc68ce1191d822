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

    private readonly Lock _lock = new();
    private readonly List<(string Op, string Problem)> _reporters = [];
    private DeviceTensor<uint>? _words;

    /// <summary>True when a kernel that may report was launched since the last look.</summary>
    public bool IsArmed { get; private set; }

    internal delegate void Download(DeviceMemory source, long sourceOffset, Span<byte> destination);

    public TensorArgument Slot(DeviceStream stream, string op, string problem)
    {
        lock (_lock)
        {
            _words ??= Clear(stream);
            int slot = _reporters.IndexOf((op, problem));
            if (slot < 0)
            {
                // Problems differ in a few sizes at most; should they fill the log, the last slot is shared and its message is that of its first user.
                slot = Math.Min(_reporters.Count, Slots - 1);
                if (_reporters.Count < Slots) _reporters.Add((op, problem));
            }

            IsArmed = true;
            return new TensorArgument(_words.Buffer.Memory, (ulong)slot);
        }
    }

    public void ThrowIfAny(DeviceStream stream, Download download)
    {
        lock (_lock)
        {
            uint[] words = new uint[_reporters.Count];
            download(_words!.Buffer.Memory, 0, MemoryMarshal.AsBytes(words.AsSpan()));
            int slot = Array.FindIndex(words, word => word != NoError);
            if (slot >= 0) stream.Fill(_words, NoError);
            // Not before: where the device failed meanwhile, the next look finds what this one did not report.
            IsArmed = false;
            if (slot < 0) return;
            (string op, string problem) = _reporters[slot];
            throw new DeviceDataException($"{op}: element {words[slot]} {problem}.", op, words[slot]);
        }
    }

    public void Dispose()
    {
        lock (_lock) _words?.Dispose();
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
