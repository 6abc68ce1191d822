namespace Kernels.Devices.Cuda;

/// <summary>
/// Page-locked memory through which the small uploads of one stream travel. The caller's values are copied here, and the stream fetches
/// them when it comes to it, so that nobody waits; pageable memory would have to be waited for. The ring has segments, and an event tells
/// when the stream is done with one.
/// </summary>
internal sealed unsafe class StagingRing(CudaDevice device) : IDisposable
{
    /// <summary>A segment takes the largest upload.</summary>
    private const int SegmentBytes = DeviceStream.LargestStagedUpload;

    private const int Segments = 4;

    /// <summary>Uploads start on this many bytes.</summary>
    private const int Alignment = 16;

    private readonly Lock _lock = new();
    private readonly DeviceEvent?[] _fetched = new DeviceEvent?[Segments];
    private DeviceMemory? _memory;
    private int _segment;
    private int _used;

    public void Upload(CudaStream stream, ReadOnlySpan<byte> source, DeviceMemory destination, long destinationOffset)
    {
        lock (_lock)
        {
            if (_used + source.Length > SegmentBytes) Advance(stream);
            _memory ??= device.AllocateHostMemory(Segments * SegmentBytes);
            byte* place = (byte*)_memory.Value + (_segment * SegmentBytes) + _used;
            source.CopyTo(new Span<byte>(place, source.Length));
            stream.Fetch(place, destination, destinationOffset, source.Length);
            _used += (source.Length + Alignment - 1) / Alignment * Alignment;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (DeviceEvent? fetched in _fetched) fetched?.Dispose();
            _memory?.Dispose();
        }
    }

    /// <summary>Goes on to the next segment; waits only where the stream has not yet come to what was put there a whole ring ago.</summary>
    private void Advance(CudaStream stream)
    {
        DeviceEvent fetched = stream.Record();
        _fetched[_segment]?.Dispose();
        _fetched[_segment] = fetched;
        int next = (_segment + 1) % Segments;
        if (_fetched[next] is { IsCompleted: false } busy) busy.Wait();
        (_segment, _used) = (next, 0);
    }
}
