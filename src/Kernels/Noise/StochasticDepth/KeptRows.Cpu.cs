using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class KeptRows
{
    private static void CpuCount(in KernelVariant variant, in KeptRowsCountArguments arguments)
    {
        KeptListArguments list = arguments.KeptList;
        CpuPhilox philox = new(list.Key.Resolve());
        uint* counts = arguments.Counts.Pointer<uint>();
        for (ulong piece = 0; piece < list.Pieces; piece++)
        {
            long row = (long)(piece * list.PieceRows), end = Math.Min(row + (long)list.PieceRows, (long)list.Count);
            counts[piece] = 0;
            for (int taken; row < end; row += taken)
                counts[piece] += (uint)BitOperations.PopCount(KeptFrom(philox, list, row, end, out taken));
        }
    }

    private static void CpuList(in KernelVariant variant, in KeptRowsListArguments arguments)
    {
        KeptListArguments list = arguments.KeptList;
        CpuPhilox philox = new(list.Key.Resolve());
        int* rows = arguments.Rows.Pointer<int>();
        int kept = 0;
        int taken;
        for (long row = 0; row < (long)list.Count; row += taken)
        {
            for (ulong keep = KeptFrom(philox, list, row, (long)list.Count, out taken); keep != 0; keep &= keep - 1)
                rows[kept++] = (int)row + BitOperations.TrailingZeroCount(keep);
        }

        new Span<int>(rows + kept, (int)list.Count - kept).Fill(-1);
        *arguments.Kept.Pointer<int>() = kept;
    }

    /// <summary>Which of the rows from one on are kept, as bits: as many rows as one draw decides about, at most to the end.</summary>
    private static ulong KeptFrom(in CpuPhilox philox, in KeptListArguments list, long row, long end, out int taken)
    {
        ulong index = list.Start + (ulong)row;
        int skip = (int)(index % Philox.LanesPerBlock);
        taken = (int)Math.Min(CpuPhilox.Lanes - skip, end - row);
        ulong keep = ulong.MaxValue;
        if (list.Threshold <= ushort.MaxValue)
        {
            Vector512<ushort> threshold = Vector512.Create((ushort)list.Threshold);
            philox.Draw(index / Philox.LanesPerBlock, out Vector512<ushort> first, out Vector512<ushort> second);
            ulong low = (uint)Vector512.LessThan(first, threshold).ExtractMostSignificantBits();
            keep = (low | (Vector512.LessThan(second, threshold).ExtractMostSignificantBits() << 32)) >> skip;
        }

        return keep & (ulong.MaxValue >> (CpuPhilox.Lanes - taken));
    }

    private readonly struct CpuGather : ICpuKernel<KeptRowsGatherArguments>
    {
        public static void Run<T>(in KernelVariant variant, in KeptRowsGatherArguments arguments)
            where T : unmanaged
        {
            KeptRowsGatherArguments a = arguments;
            int* rows = a.Rows.Pointer<int>();
            bool streaming = CpuStreaming.Pays(a.Result.Pointer<T>(), (long)a.Count * sizeof(T));
            CpuParallel.ForRange((long)a.Count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                for (long start = first; start < end;)
                {
                    (long i, long inRow) = Math.DivRem(start, (long)a.Run);
                    long count = Math.Min(end - start, (long)a.Run - inRow);
                    T* result = a.Result.Pointer<T>() + start;
                    int row = rows[i];
                    if (row >= 0 && (ulong)row < a.SourceRows)
                    {
                        T* source = a.Source.Pointer<T>() + (row * (long)a.Run) + inRow;
                        CpuResidual.Add(null, source, result, count, a.Scale, relu: false, streaming);
                    }
                    else
                    {
                        if (row != -1) CpuDataError.Report(a.Error, i);
                        CpuResidual.Clear(result, count);
                    }

                    start += count;
                }
            });
        }
    }

    private readonly struct CpuScatter : ICpuKernel<KeptRowsScatterAddArguments>
    {
        public static void Run<T>(in KernelVariant variant, in KeptRowsScatterAddArguments arguments)
            where T : unmanaged
        {
            KeptRowsScatterAddArguments a = arguments;
            int kept = CheckedRows(a);
            T* x = a.X.Pointer<T>();
            T* f = a.F.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            (long run, long count) = ((long)a.Run, (long)(a.TargetRows * a.Run));
            bool streaming = x != y && CpuStreaming.Pays(y, count * sizeof(T));
            CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                ReadOnlySpan<int> rows = new(a.Rows.Pointer<int>(), kept);
                for (long start = first; start < end;)
                {
                    (long row, long inRow) = Math.DivRem(start, run);
                    long part = Math.Min(end - start, run - inRow);
                    int position = rows.BinarySearch((int)row);
                    T* branch = position >= 0 ? f + (position * run) + inRow : null;
                    if (x == null && branch == null)
                        CpuResidual.Clear(y + start, part);
                    else
                        CpuResidual.Add(x == null ? null : x + start, branch, y + start, part, a.Scale, relu: false, streaming);
                    start += part;
                }
            });
        }

        /// <summary>The number of indices before -1; wrong ones are reported.</summary>
        private static int CheckedRows(in KeptRowsScatterAddArguments a)
        {
            int* rows = a.Rows.Pointer<int>();
            int kept = (int)a.Kept;
            for (int i = (int)a.Kept - 1; i >= 0; i--)
            {
                if (rows[i] == -1)
                    kept = i;
                else if ((ulong)rows[i] >= a.TargetRows || (i > 0 && (uint)rows[i - 1] >= (uint)rows[i]))
                    CpuDataError.Report(a.Error, i);
            }

            return kept;
        }
    }
}
