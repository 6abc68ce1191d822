using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class CutMix
{
    private readonly struct CpuApply : ICpuKernel<CutmixApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in CutmixApplyArguments arguments)
            where T : unmanaged
        {
            CutmixApplyArguments a = arguments;
            T* x = a.X.Pointer<T>();
            T* pool = a.Pool.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            int* pairs = a.Pairs.Pointer<int>();
            int* boxes = a.Boxes.Pointer<int>();
            bool streams = x != y && (long)a.Count * sizeof(T) >= CpuStreaming.ThresholdBytes;
            CpuRows.ForEach(a.Image, (long)a.Count, (image, row, first, length) =>
            {
                int other = pairs[(2 * image) + a.Backward];
                bool exists = other >= 0 && (ulong)other < a.PoolRows;
                if (!exists && other != -1) CpuDataError.Report(a.Error, image);
                T* theirs = exists ? pool + ((other - image) * (long)a.Image.Run) + first : null;
                if (a.Backward != 0)
                {
                    (long, long) own = CpuRows.Span(boxes + (4 * image), row, length, a.Image.Pixel);
                    Keep(x + first, y + first, length, own);
                    if (!exists) return;
                    Add(theirs, x + first, y + first, own, CpuRows.Span(boxes + (4 * (long)other), row, length, a.Image.Pixel));
                    return;
                }

                (long start, long stop) = CpuRows.Span(boxes + (4 * image), row, length, a.Image.Pixel);
                CpuRows.Copy(x + first, y + first, 0, start, streams);
                if (exists)
                    CpuRows.Copy(theirs, y + first, start, stop, streams);
                else
                    CpuStreaming.FillPart(y + first + start, stop - start, default, streams);
                CpuRows.Copy(x + first, y + first, stop, length, streams);
            });
        }

        /// <summary>The gradient of what was kept.</summary>
        private static void Keep<T>(T* dy, T* dx, long length, (long Start, long Stop) box)
            where T : unmanaged
        {
            CpuRows.Copy(dy, dx, 0, box.Start);
            CpuResidual.Clear(dx + box.Start, box.Stop - box.Start);
            CpuRows.Copy(dy, dx, box.Stop, length);
        }

        /// <summary>The gradient of what another image took, beside or on top of what was kept.</summary>
        private static void Add<T>(T* theirs, T* dy, T* dx, (long Start, long Stop) own, (long Start, long Stop) taken)
            where T : unmanaged
        {
            for (long i = taken.Start; i < taken.Stop; i++)
            {
                bool kept = i < own.Start || i >= own.Stop;
                dx[i] = kept ? CpuElement.FromDouble<T>(Sum<T>(dy[i], theirs[i])) : theirs[i];
            }
        }

        private static double Sum<T>(T own, T other)
            where T : unmanaged => typeof(T) == typeof(double)
            ? CpuElement.ToDouble(own) + CpuElement.ToDouble(other) : CpuElement.ToSingle(own) + CpuElement.ToSingle(other);
    }
}

/// <summary>The CPU's way over images: row by row, with the part of a row that lies in a box.</summary>
internal static unsafe class CpuRows
{
    /// <summary>Calls the body with image, row of the image, first element and length, for each row of each plane.</summary>
    public static void ForEach(ImageArguments shape, long count, Action<long, long, long, long> body)
    {
        long run = (long)shape.Run, length = (long)shape.RowLength, height = (long)shape.Height, rows = count / length;
        long chunk = Math.Max(1, CpuParallel.ElementsPerChunk / length);
        CpuParallel.ForRange(rows, chunk, (first, end) =>
        {
            // Divisions are made once: rows may be as short as they cost.
            long rowsOfImage = run / length, image = first / rowsOfImage, ofImage = first % rowsOfImage, row = first % height;
            for (long start = first * length; start < end * length; start += length)
            {
                body(image, row, start, length);
                if (++row == height) row = 0;
                if (++ofImage < rowsOfImage) continue;
                ofImage = 0;
                image++;
            }
        });
    }

    /// <summary>The elements of a row that are in a box; none of a row beside it. A box is clipped at the image.</summary>
    public static (long Start, long Stop) Span(int* box, long row, long length, uint pixel)
    {
        if (row < box[0] || row >= box[2]) return (0, 0);
        long start = Math.Clamp(box[1] * (long)pixel, 0, length), stop = Math.Clamp(box[3] * (long)pixel, 0, length);
        return (start, Math.Max(start, stop));
    }

    public static void Copy<T>(T* source, T* target, long start, long stop)
        where T : unmanaged
    {
        long bytes = (stop - start) * sizeof(T);
        if (source != target) Buffer.MemoryCopy(source + start, target + start, bytes, bytes);
    }

    /// <summary>The same, past the caches if <paramref name="streams"/>.</summary>
    public static void Copy<T>(T* source, T* target, long start, long stop, bool streams)
        where T : unmanaged
    {
        if (source != target)
            CpuStreaming.CopyPart((byte*)(source + start), (byte*)(target + start), (stop - start) * sizeof(T), streams);
    }
}
