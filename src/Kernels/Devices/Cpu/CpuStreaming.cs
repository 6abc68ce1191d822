using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Kernels.Devices.Cpu;

/// <summary>
/// Stores that go past the caches. A normal store first reads the line it overwrites, so y = f(x) moves three times the tensor; a streaming
/// store makes that two. It pays only when the result would not be found in the cache anyway.
/// </summary>
internal static unsafe class CpuStreaming
{
    /// <summary>Results of at least this many bytes leave the caches before anyone reads them.</summary>
    public const long ThresholdBytes = 8 << 20;

    private const int VectorBytes = 64;

    /// <summary>
    /// True when a result of <paramref name="bytes"/> at <paramref name="destination"/> should be stored past the caches.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Pays(void* destination, long bytes) => bytes >= ThresholdBytes && ((nuint)destination & (VectorBytes - 1)) == 0;

    /// <summary>
    /// The same of results that take a core longer to calculate than their lines take to be read. One core or two leave the memory idle
    /// meanwhile, and would then wait for stores past the caches; more of them share it.
    /// </summary>
    public static bool PaysForWork(void* destination, long bytes) => Environment.ProcessorCount > 2 && Pays(destination, bytes);

    /// <summary>Copies one part of a copy of <paramref name="totalBytes"/>.</summary>
    public static void Copy(byte* source, byte* destination, long bytes, long totalBytes) =>
        CopyPart(source, destination, bytes, Pays(destination, totalBytes));

    /// <summary>Copies one part of what is stored past the caches, or not; it may begin anywhere.</summary>
    public static void CopyPart(byte* source, byte* destination, long bytes, bool streams)
    {
        long i = 0;
        if (streams)
        {
            i = Math.Min(bytes, -(nint)destination & (VectorBytes - 1));
            Buffer.MemoryCopy(source, destination, i, i);
            for (; i <= bytes - (4 * VectorBytes); i += 4 * VectorBytes)
            {
                Vector512<byte> a = Vector512.Load(source + i);
                Vector512<byte> b = Vector512.Load(source + i + VectorBytes);
                Vector512<byte> c = Vector512.Load(source + i + (2 * VectorBytes));
                Vector512<byte> d = Vector512.Load(source + i + (3 * VectorBytes));
                a.StoreAlignedNonTemporal(destination + i);
                b.StoreAlignedNonTemporal(destination + i + VectorBytes);
                c.StoreAlignedNonTemporal(destination + i + (2 * VectorBytes));
                d.StoreAlignedNonTemporal(destination + i + (3 * VectorBytes));
            }

            for (; i <= bytes - VectorBytes; i += VectorBytes) Vector512.Load(source + i).StoreAlignedNonTemporal(destination + i);
        }

        Buffer.MemoryCopy(source + i, destination + i, bytes - i, bytes - i);
    }

    /// <summary>Writes one value to one part of what is stored past the caches, or not; it may begin anywhere.</summary>
    public static void FillPart<T>(T* destination, long count, T value, bool streams)
        where T : unmanaged
    {
        long i = 0;
        if (streams)
        {
            i = Math.Min(count, (-(nint)destination & (VectorBytes - 1)) / sizeof(T));
            new Span<T>(destination, (int)i).Fill(value);
            Vector512<byte> values = sizeof(T) switch
            {
                2 => Vector512.Create(Unsafe.BitCast<T, ushort>(value)).AsByte(),
                4 => Vector512.Create(Unsafe.BitCast<T, uint>(value)).AsByte(),
                _ => Vector512.Create(Unsafe.BitCast<T, ulong>(value)).AsByte(),
            };
            for (; i <= count - (VectorBytes / sizeof(T)); i += VectorBytes / sizeof(T))
                values.StoreAlignedNonTemporal((byte*)(destination + i));
        }

        for (; i < count; i += int.MaxValue) new Span<T>(destination + i, (int)Math.Min(int.MaxValue, count - i)).Fill(value);
    }
}

/// <summary>The way a loop stores its 64-byte results; a type parameter, so that each loop is compiled for one way.</summary>
internal unsafe interface IVectorStore
{
    static abstract void Store(byte* destination, Vector512<byte> value);
}

/// <summary>An ordinary store.</summary>
internal readonly unsafe struct CachedStore : IVectorStore
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* destination, Vector512<byte> value) => value.Store(destination);
}

/// <summary>A store past the caches; the destination lies on 64 bytes.</summary>
internal readonly unsafe struct StreamingStore : IVectorStore
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* destination, Vector512<byte> value) => value.StoreAlignedNonTemporal(destination);
}
