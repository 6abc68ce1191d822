using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Dropout
{
    private static void CpuMask(in KernelVariant variant, in DropoutMaskArguments arguments)
    {
        DropoutMaskArguments a = arguments;
        RandomKey key = a.Key.Resolve();
        CpuParallel.ForRange(MaskWords((long)a.Count), CpuParallel.ElementsPerChunk / 32, (first, end) =>
        {
            uint* mask = a.Mask.Pointer<uint>();
            CpuPhilox philox = new(key);
            Vector512<ushort> threshold = CpuKeepMap.ThresholdVector(a.Threshold);
            bool aligned = a.Start % Philox.LanesPerBlock == 0 && a.Threshold < 65536;
            long word = first;
            ushort* lanes = stackalloc ushort[CpuPhilox.LanesOfFour];
            for (; aligned && word + 8 <= end && (ulong)(word + 8) * 32 <= a.Count; word += 8)
            {
                philox.DrawFour((a.Start + ((ulong)word * 32)) / Philox.LanesPerBlock, lanes);
                for (int i = 0; i < 8; i++)
                {
                    Vector512<ushort> kept = Vector512.LessThan(Vector512.Load(lanes + (32 * i)), threshold);
                    mask[word + i] = (uint)kept.ExtractMostSignificantBits();
                }
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

    private readonly struct CpuApply : ICpuKernel<DropoutApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropoutApplyArguments arguments)
            where T : unmanaged
        {
            DropoutApplyArguments a = arguments;
            CpuKeepMap.Run(a.X.Pointer<T>(), a.Y.Pointer<T>(), (long)a.Count, a.Start, a.Threshold, a.Key.Resolve(), new ScaleMap(a.Scale));
        }
    }

    private readonly struct CpuScale : ICpuKernel<DropoutScaleArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropoutScaleArguments arguments)
            where T : unmanaged
        {
            DropoutScaleArguments a = arguments;
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

    private readonly struct CpuApplyMask : ICpuKernel<DropoutApplyMaskArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropoutApplyMaskArguments arguments)
            where T : unmanaged
        {
            DropoutApplyMaskArguments a = arguments;
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
