using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class ChannelDropout
{
    private readonly struct CpuShared : ICpuKernel<ChannelDropoutArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ChannelDropoutArguments arguments)
            where T : unmanaged
        {
            if (arguments.Run == 1)
                RowsOfUnits<T>(arguments);
            else
                RunsOfOneUnit<T>(arguments);
        }

        /// <summary>[outer, shared, units]: rows of units share their decisions.</summary>
        private static void RowsOfUnits<T>(ChannelDropoutArguments a)
            where T : unmanaged
        {
            T* x = a.X.Pointer<T>(), y = a.Y.Pointer<T>();
            if (a.Shared == 1)
            {
                CpuKeepMap.Run(x, y, (long)a.Count, a.Start, a.Threshold, a.Key.Resolve(), new ScaleMap(a.Scale));
                return;
            }

            bool streaming = x != y && CpuStreaming.Pays(y, (long)a.Count * sizeof(T)) && (long)a.Units * sizeof(T) % 64 == 0;
            if (streaming)
                RowsOfUnits<T, StreamingStore>(x, y, a);
            else
                RowsOfUnits<T, CachedStore>(x, y, a);
        }

        /// <summary>
        /// Of the rows that share decisions a core draws those of a segment once. Where rows are short it writes their lanes one after the
        /// other, so that as many rows as a segment holds are one stretch.
        /// </summary>
        private static void RowsOfUnits<T, TStore>(T* x, T* y, ChannelDropoutArguments a)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            const int Segment = CpuKeepLanes.Segment;
            RandomKey key = a.Key.Resolve();
            ScaleMap map = new(a.Scale);
            (long units, long shared) = ((long)a.Units, (long)a.Shared);
            CpuParallel.ForRange((long)a.Count / units, Math.Max(1, CpuParallel.ElementsPerChunk / units), (first, end) =>
            {
                ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength], repeated = stackalloc ushort[Segment];
                CpuKeepLanes keep = new(key, a.Threshold, buffer);
                for (long row = first, stop; row < end; row = stop)
                {
                    (long group, long inGroup) = Math.DivRem(row, shared);
                    stop = Math.Min(end, row - inGroup + shared);
                    long rows = Math.Clamp(Segment / units, 1, stop - row);
                    for (long unit = 0; unit < units; unit += Segment)
                    {
                        int width = (int)Math.Min(Segment, units - unit);
                        ushort* lanes = keep.Draw(a.Start + (ulong)((group * units) + unit), width);
                        if (rows > 1)
                        {
                            ReadOnlySpan<ushort> drawn = new(lanes, width);
                            for (long i = 0; i < rows; i++) drawn.CopyTo(new(repeated + (i * width), width));
                            lanes = repeated;
                        }

                        for (long i = row; i < stop; i += rows)
                        {
                            int count = (int)Math.Min(rows, stop - i) * width;
                            long at = (i * units) + unit;
                            CpuKeepMap.Stretch<T, ScaleMap, TStore>(x + at, y + at, count, lanes, keep.Limit, map);
                        }
                    }
                }
            });
        }

        /// <summary>[outer, shared, units, run]: one decision for each stretch of <c>run</c> elements.</summary>
        private static void RunsOfOneUnit<T>(ChannelDropoutArguments a)
            where T : unmanaged
        {
            RandomKey key = a.Key.Resolve();
            T* x = a.X.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            (long units, long shared, long run) = ((long)a.Units, (long)a.Shared, (long)a.Run);
            bool streaming = x != y && CpuStreaming.Pays(y, (long)a.Count * sizeof(T)) && run * sizeof(T) % 64 == 0;
            CpuParallel.ForRange((long)a.Count / run, Math.Max(1, CpuParallel.ElementsPerChunk / run), (first, end) =>
            {
                for (long row = first; row < end; row++)
                {
                    ulong unit = (ulong)((row / units / shared * units) + (row % units));
                    bool keep = Philox.Lane(key, a.Start + unit) < a.Threshold;
                    if (streaming)
                        ScaleRun<T, StreamingStore>(x + (row * run), y + (row * run), run, keep, a.Scale);
                    else
                        ScaleRun<T, CachedStore>(x + (row * run), y + (row * run), run, keep, a.Scale);
                }
            });
        }

        private static void ScaleRun<T, TStore>(T* x, T* y, long count, bool keep, double scale)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            long i = 0;
            int width = Vector512<byte>.Count / sizeof(T);
            ScaleMap map = new(scale);
            if (!keep)
            {
                for (; i + width <= count; i += width) TStore.Store((byte*)(y + i), Vector512<byte>.Zero);
                new Span<T>(y + i, (int)(count - i)).Clear();
                return;
            }

            for (; typeof(T) == typeof(float) && i + width <= count; i += width)
                TStore.Store((byte*)(y + i), map.Kept(CpuElement.Load(x + i)).AsByte());
            for (; sizeof(T) == 2 && i + width <= count; i += width)
            {
                Vector256<ushort> low = CpuElement.NarrowToStored<T>(map.Kept(CpuElement.Load(x + i)));
                Vector256<ushort> high = CpuElement.NarrowToStored<T>(map.Kept(CpuElement.Load(x + i + 16)));
                TStore.Store((byte*)(y + i), Vector512.Create(low, high).AsByte());
            }

            for (; i < count; i++)
            {
                y[i] = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(map.Kept(CpuElement.ToDouble(x[i])))
                    : CpuElement.FromSingle<T>(map.Kept(CpuElement.ToSingle(x[i])));
            }
        }
    }
}
