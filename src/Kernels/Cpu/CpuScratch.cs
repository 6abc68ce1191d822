using Kernels.Devices.Cpu;

namespace Kernels.Cpu;

/// <summary>Memory of one thread for what a body makes on the way; it grows to the largest that was asked for and is kept.</summary>
internal sealed unsafe class CpuScratch
{
    [ThreadStatic]
    private static CpuScratch? _current;

    [ThreadStatic]
    private static CpuScratch? _shared;

    private void* _memory;
    private long _bytes;

    ~CpuScratch() => CpuHeap.Free(_memory);

    /// <summary>Memory for so many elements, on 64 bytes, valid until the thread asks again; what is in it is not cleared.</summary>
    public static T* Take<T>(long count)
        where T : unmanaged => (T*)(_current ??= new CpuScratch()).Grown(count * sizeof(T));

    /// <summary>Memory besides, for what a body makes once and all its pieces read, valid until the thread asks for such again.</summary>
    public static T* TakeShared<T>(long count)
        where T : unmanaged => (T*)(_shared ??= new CpuScratch()).Grown(count * sizeof(T));

    private void* Grown(long bytes)
    {
        if (bytes > _bytes)
        {
            CpuHeap.Free(_memory);
            _memory = null;
            _bytes = 0;
            _memory = CpuHeap.Allocate(bytes);
            _bytes = bytes;
        }

        return _memory;
    }
}
