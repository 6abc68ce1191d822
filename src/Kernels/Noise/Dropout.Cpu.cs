using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices;
using Kernels.Devices.Cpu;
using Kernels.Randomness;

namespace Kernels;

public static unsafe partial class Dropout
{
    private static void MaskOnCpu(in KernelVariant variant, in MaskArguments arguments)
    {
        MaskArguments a = arguments;
        RandomKey key = a.Key.Resolve();
        CpuParallel.ForRange(MaskWords((long)a.Count), CpuParallel.ElementsPerChunk / 32, (first, end) =>
        {
            uint* mask = a.Mask.Pointer<uint>();
            PhiloxVector philox = new(key);
            Vector512<ushort> threshold = ThresholdVector(a.Threshold);
            bool aligned = a.Start % Philox.LanesPerBlock == 0 && a.Threshold < 65536;
            long word = first;
            for (; aligned && word + 2 <= end && (ulong)(word + 2) * 32 <= a.Count; word += 2)
            {
                philox.Draw((a.Start + ((ulong)word * 32)) / Philox.LanesPerBlock, out Vector512<ushort> low, out Vector512<ushort> high);
                mask[word] = (uint)Vector512.LessThan(low, threshold).ExtractMostSignificantBits();
                mask[word + 1] = (uint)Vector512.LessThan(high, threshold).ExtractMostSignificantBits();
            }

            for (; word < end; word++)
            {
                uint bits = 0;
                for (int bit = 0; bit < 32 && ((ulong)word * 32) + (ulong)bit < a.Count; bit++)
                {
                    if (Philox.Lane(key, a.Start + ((ulong)word * 32) + (ulong)bit) < a.Threshold) bits |= 1u << bit;
                }

                mask[word] = bits;
            }
        });
    }

    private static Vector512<ushort> ThresholdVector(uint threshold) => Vector512.Create((ushort)Math.Min(threshold, ushort.MaxValue));

    private readonly struct ApplyOnCpu : ICpuKernel<ApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ApplyArguments arguments)
            where T : unmanaged
        {
            ApplyArguments a = arguments;
            RandomKey key = a.Key.Resolve();
            T* x = a.X.Pointer<T>();
            T* y = a.Y.Pointer<T>();

            // Up to the next block boundary of the whole tensor element by element, so that all other work starts on one.
            long head = Math.Min((long)a.Count, (long)(((ulong)Philox.LanesPerBlock - (a.Start % Philox.LanesPerBlock)) % Philox.LanesPerBlock));
            ApplyScalar(x, y, 0, head, a.Start, a.Threshold, a.Scale, key);
            long count = (long)a.Count - head;
            x += head;
            y += head;
            ulong start = a.Start + (ulong)head;
            bool streaming = x != y && CpuStreaming.Pays(y, count * sizeof(T));
            CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                long i = first;
                if (typeof(T) != typeof(double))
                {
                    i = streaming
                        ? ApplyVectors<T, StreamingStore>(x, y, first, end, start, a.Threshold, (float)a.Scale, key)
                        : ApplyVectors<T, CachedStore>(x, y, first, end, start, a.Threshold, (float)a.Scale, key);
                }

                ApplyScalar(x, y, i, end, start, a.Threshold, a.Scale, key);
            });
        }

        /// <summary>As many whole draws of 64 elements as fit; returns where it stopped.</summary>
        private static long ApplyVectors<T, TStore>(T* x, T* y, long first, long end, ulong start, uint threshold, float scale, RandomKey key)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            PhiloxVector philox = new(key);
            Vector512<ushort> limit = ThresholdVector(threshold);
            Vector512<float> factor = Vector512.Create(scale);
            long i = first;
            for (; i + PhiloxVector.Lanes <= end; i += PhiloxVector.Lanes)
            {
                philox.Draw((start + (ulong)i) / Philox.LanesPerBlock, out Vector512<ushort> low, out Vector512<ushort> high);
                Apply32<T, TStore>(x + i, y + i, Vector512.LessThan(low, limit), factor);
                Apply32<T, TStore>(x + i + 32, y + i + 32, Vector512.LessThan(high, limit), factor);
            }

            return i;
        }

        /// <summary>32 elements under 32 masks of 16 bits. The mask is an AND of bits, so that a dropped NaN becomes +0.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Apply32<T, TStore>(T* x, T* y, Vector512<ushort> keep, Vector512<float> factor)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            Vector512<float> low = CpuElement.Load(x) * factor;
            Vector512<float> high = CpuElement.Load(x + 16) * factor;
            if (typeof(T) == typeof(float))
            {
                // Widening with sign turns 16 bits of ones into 32.
                Vector512<short> mask = keep.AsInt16();
                TStore.Store((byte*)y, (low.AsInt32() & Vector512.WidenLower(mask)).AsByte());
                TStore.Store((byte*)(y + 16), (high.AsInt32() & Vector512.WidenUpper(mask)).AsByte());
            }
            else
            {
                Vector512<ushort> stored = Vector512.Create(CpuElement.NarrowToStored<T>(low), CpuElement.NarrowToStored<T>(high));
                TStore.Store((byte*)y, (stored & keep).AsByte());
            }
        }

        private static void ApplyScalar<T>(T* x, T* y, long first, long end, ulong start, uint threshold, double scale, RandomKey key)
            where T : unmanaged
        {
            for (long i = first; i < end; i++)
            {
                if (Philox.Lane(key, start + (ulong)i) >= threshold)
                    y[i] = default;
                else
                    y[i] = Scale(x[i], scale);
            }
        }
    }

    private readonly struct ScaleOnCpu : ICpuKernel<ScaleArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ScaleArguments arguments)
            where T : unmanaged
        {
            ScaleArguments a = arguments;
            CpuParallel.ForRange((long)a.Count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                T* x = a.X.Pointer<T>();
                T* y = a.Y.Pointer<T>();
                Vector512<float> factor = Vector512.Create((float)a.Scale);
                long i = first;
                for (; typeof(T) != typeof(double) && i + 16 <= end; i += 16) CpuElement.Store(y + i, CpuElement.Load(x + i) * factor);
                for (; i < end; i++) y[i] = Scale(x[i], a.Scale);
            });
        }
    }

    private readonly struct ApplyMaskOnCpu : ICpuKernel<ApplyMaskArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ApplyMaskArguments arguments)
            where T : unmanaged
        {
            ApplyMaskArguments a = arguments;
            CpuParallel.ForRange((long)a.Count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                T* x = a.X.Pointer<T>();
                T* y = a.Y.Pointer<T>();
                uint* mask = a.Mask.Pointer<uint>();
                for (long i = first; i < end; i++)
                    y[i] = (mask[i / 32] >> (int)(i % 32) & 1) != 0 ? Scale(x[i], a.Scale) : default;
            });
        }
    }

    /// <summary>One rounding to the stored type, after a product in its arithmetic type.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Scale<T>(T value, double scale)
        where T : unmanaged =>
        typeof(T) == typeof(double)
            ? CpuElement.FromDouble<T>(CpuElement.ToDouble(value) * scale)
            : CpuElement.FromSingle<T>(CpuElement.ToSingle(value) * (float)scale);
}
