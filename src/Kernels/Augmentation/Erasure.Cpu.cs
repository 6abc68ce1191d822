using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

internal static unsafe partial class Erasure
{
    /// <summary>Philox blocks from there on are the noise: one for four elements of a sample.</summary>
    private const ulong NoiseBlocks = 0x10000;

    /// <summary>The draw that decides whether a sample is changed at all.</summary>
    private const uint DecisionDraw = 0x8000;

    public static bool IsChosen(RandomKey key, ulong sample, uint op, uint threshold) =>
        threshold > ushort.MaxValue || (ushort)AugmentKey.Draw(key, sample, op, DecisionDraw).W0 < threshold;

    public static void WriteBox(Span<int> box, int top, int left, int bottom, int right, uint height, uint width) =>
        new ReadOnlySpan<int>([Math.Max(0, top), Math.Max(0, left), Math.Min((int)height, bottom), Math.Min((int)width, right)])
            .CopyTo(box);

    private readonly struct CpuFill : ICpuKernel<CutoutFillArguments>
    {
        public static void Run<T>(in KernelVariant variant, in CutoutFillArguments arguments)
            where T : unmanaged
        {
            CutoutFillArguments a = arguments;
            bool noise = (variant.Switches & NoiseSwitch) != 0;
            T* x = a.X.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            int* boxes = a.Boxes.Pointer<int>();
            ulong* ids = a.SampleIds.Pointer<ulong>();
            RandomKey key = a.Key.Resolve();
            T constant = CpuElement.FromDouble<T>(a.Value);
            bool streams = x != y && (long)a.Count * sizeof(T) >= CpuStreaming.ThresholdBytes;
            CpuRows.ForEach(a.Image, (long)a.Count, (image, row, first, length) =>
            {
                // Nothing is read where the only hole is.
                (long from, long to) = a.Holes == 1 ? CpuRows.Span(boxes + (4 * image), row, length, a.Image.Pixel) : (0, 0);
                if (streams)
                {
                    // The next row, which has most likely its hole where this one has it.
                    CpuPrefetch.Range(x + first + length, from * sizeof(T));
                    CpuPrefetch.Range(x + first + length + to, (length - to) * sizeof(T));
                }

                CpuRows.Copy(x + first, y + first, 0, from, streams);
                CpuRows.Copy(x + first, y + first, to, length, streams);
                for (uint hole = 0; hole < a.Holes; hole++)
                {
                    (long start, long stop) = CpuRows.Span(boxes + (4 * ((image * a.Holes) + hole)), row, length, a.Image.Pixel);
                    if (start == stop) continue;
                    if (!noise)
                    {
                        CpuStreaming.FillPart(y + first + start, stop - start, constant, streams);
                        continue;
                    }

                    CpuPhilox philox = new(key.Derive(ids != null ? ids[image] : a.FirstSample + (ulong)image));
                    long origin = image * (long)a.Image.Run;
                    ulong block = ((ulong)a.Op << 32) | NoiseBlocks;
                    if (typeof(T) == typeof(double))
                        Noise<T, double>(philox, block, y + origin, first - origin + start, stop - start, a.Value);
                    else
                        Noise<T, float>(philox, block, y + origin, first - origin + start, stop - start, (float)a.Value);
                }
            });
        }

        private static void Noise<T, TReal>(in CpuPhilox philox, ulong block, T* sample, long start, long count, TReal value)
            where T : unmanaged
            where TReal : unmanaged
        {
            float* normals = CpuScratch.Take<float>(CpuNormals.AtOnce + CpuElement.Width);
            Vector512<TReal> values = Vector512.Create(value);
            for (long i = start, end = start + count; i < end;)
            {
                int skip = (int)(i % 4), length = (int)Math.Min(CpuNormals.AtOnce - skip, end - i);
                CpuNormals.Fill(philox, block + ((ulong)i / 4), normals, skip + length);
                for (int lane = 0; lane < length; lane += Vector512<TReal>.Count)
                {
                    int part = Math.Min(Vector512<TReal>.Count, length - lane);
                    CpuReal.Store(sample + i + lane, CpuNormals.Load<TReal>(normals + skip + lane) * values, part);
                }

                i += length;
            }
        }
    }
}
