using System.Runtime.Intrinsics;
using Kernels.Devices.Cpu;

namespace Kernels.Cpu;

/// <summary>The matrix product of the CPU device: blocked, packed and register-tiled.</summary>
/// <remarks>
/// The scheme is that of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), with one change: the
/// result is cut into blocks that share nothing, and each task packs what its own block needs. Packing a little twice costs less
/// than a barrier between phases. A task holds a block of A in the second-level cache and runs it against B panel by panel.
/// <para>Every element is the sum, in order, of the partial sums of fixed slices of k, each a chain of multiply-adds in order of k.
/// Neither the tile an element falls into nor the number of tasks enters that arithmetic, so results repeat bit for bit.</para>
/// </remarks>
internal static unsafe partial class CpuGemm
{
    /// <summary>The longest slice of k: a panel of B that long fits the first-level cache.</summary>
    internal const int MaxDepth = 272;

    /// <summary>The distance between the packed rows of A, a constant so that it folds into the addresses of the micro-kernel. An
    /// odd number of cache lines spreads the rows over all cache sets.</summary>
    private const int PackedRowStride = MaxDepth;

    /// <summary>The most rows in a block, a multiple of every tile height: packed, a block of float takes 383 KiB.</summary>
    private const int MaxBlockRows = 360;

    /// <summary>The most columns in a block, a multiple of every panel width.</summary>
    internal const int MaxBlockColumns = 512;

    /// <summary>The distance between rows of a block of sums: not a power of two, whose rows would share cache sets.</summary>
    private const int SumStride = MaxBlockColumns + 16;

    /// <summary>The widest panel of B, in bytes: two of the widest vectors.</summary>
    private const int MaxPanelBytes = 128;

    /// <summary>Where a core has as many blocks, it matters little whether all have.</summary>
    private const long EvenBlocks = 16;

    /// <summary>Fewer multiply-adds than this are done by the calling thread: waking another one takes longer.</summary>
    private const double InlineWork = 1 << 18;

    /// <summary>The least multiply-adds for which a task is worth its own packing.</summary>
    private const double TaskWork = 1 << 22;

    /// <summary>c[m,n] = a[m,k] · b[k,n] (+ bias[n]). Strides count elements, so that any transposition is a choice of strides.</summary>
    /// <remarks>Half and BFloat16 are accumulated in float and rounded once, after the bias; double is accumulated in double.
    /// Where k is 0 the result is the bias, or zero.</remarks>
    /// <param name="m">The rows of a and c.</param>
    /// <param name="n">The columns of b and c.</param>
    /// <param name="k">The columns of a and rows of b.</param>
    /// <param name="a">The left factor.</param>
    /// <param name="aRowStride">The distance from one row of a to the next.</param>
    /// <param name="aColumnStride">The distance from one column of a to the next.</param>
    /// <param name="b">The right factor.</param>
    /// <param name="bRowStride">The distance from one row of b to the next.</param>
    /// <param name="bColumnStride">The distance from one column of b to the next.</param>
    /// <param name="bias">Added to every row of the result; null for none.</param>
    /// <param name="c">The result, which overlaps no input; its columns are adjacent.</param>
    /// <param name="cRowStride">The distance from one row of c to the next.</param>
    internal static void Multiply<T>(
        long m, long n, long k,
        T* a, long aRowStride, long aColumnStride,
        T* b, long bRowStride, long bColumnStride,
        T* bias, T* c, long cRowStride) where T : unmanaged
    {
        if (m <= 0 || n <= 0)
        {
            return;
        }

        var problem = new Problem<T>
        {
            Rows = m,
            Columns = n,
            Depth = k,
            A = new Strided<T>(a, aRowStride, aColumnStride),
            B = new Strided<T>(b, bRowStride, bColumnStride),
            Bias = bias,
            C = new Strided<T>(c, cRowStride, 1),
        };

        if (typeof(T) == typeof(double))
        {
            Multiply<T, double>(problem);
        }
        else
        {
            Multiply<T, float>(problem);
        }
    }

    private static void Multiply<T, TSum>(in Problem<T> problem)
        where T : unmanaged
        where TSum : unmanaged
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Blocked<T, TSum, Vector512<TSum>, Lanes512<TSum>>.Run(problem);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Blocked<T, TSum, Vector256<TSum>, Lanes256<TSum>>.Run(problem);
        }
        else
        {
            Blocked<T, TSum, Vector128<TSum>, Lanes128<TSum>>.Run(problem);
        }
    }

    private static long DivideUp(long value, long divisor) => (value + divisor - 1) / divisor;

    /// <summary>
    /// Few blocks are made as many as share out evenly: of thirteen on two cores one would wait for the other's seventh. Of how many there
    /// are along the other side nothing changes.
    /// </summary>
    internal static long EvenlyShared(long blocks, long others, long most, long workers)
    {
        while (blocks * others % workers != 0 && blocks < most) blocks++;
        return blocks;
    }

    /// <summary>A matrix in memory.</summary>
    private readonly struct Strided<T>(T* origin, long rowStride, long columnStride) where T : unmanaged
    {
        public readonly T* Origin = origin;
        public readonly long RowStride = rowStride;
        public readonly long ColumnStride = columnStride;

        public T* At(long row, long column) => Origin + (row * RowStride) + (column * ColumnStride);

        public Strided<T> From(long row, long column) => new(At(row, column), RowStride, ColumnStride);
    }

    private struct Problem<T> where T : unmanaged
    {
        public long Rows;
        public long Columns;
        public long Depth;
        public Strided<T> A;
        public Strided<T> B;
        public T* Bias;
        public Strided<T> C;

        /// <summary>The grid of blocks the result is cut into.</summary>
        public long RowBlocks;
        public long ColumnBlocks;
    }

    /// <summary>The packing memory of one thread, allocated once and bounded.</summary>
    private sealed class Scratch
    {
        private const int BlockBytes = MaxBlockRows * PackedRowStride * sizeof(double);
        private const int PanelBytes = MaxDepth * MaxPanelBytes;
        private const int BiasBytes = MaxBlockColumns * sizeof(double);
        private const int SumBytes = MaxBlockRows * SumStride * sizeof(double);
        private const int TileBytes = MaxTileRows * MaxPanelBytes;

        [ThreadStatic]
        private static Scratch? _current;

        private readonly byte* _memory = (byte*)CpuHeap.Allocate(BlockBytes + PanelBytes + BiasBytes + SumBytes + TileBytes);

        ~Scratch() => CpuHeap.Free(_memory);

        public static Scratch Current => _current ??= new Scratch();

        /// <summary>The block of A, row by row.</summary>
        public void* Block => _memory;

        /// <summary>The panel of B.</summary>
        public void* Panel => _memory + BlockBytes;

        /// <summary>The bias of the block's columns.</summary>
        public void* Bias => _memory + BlockBytes + PanelBytes;

        /// <summary>The block of sums behind a result that is not where they can be added up.</summary>
        public void* Sums => _memory + BlockBytes + PanelBytes + BiasBytes;

        /// <summary>A whole tile, for tiles that the edge of the result cuts.</summary>
        public void* Tile => _memory + BlockBytes + PanelBytes + BiasBytes + SumBytes;
    }

    /// <summary>The product for one storage type, one type of sums and one vector width.</summary>
    private static partial class Blocked<T, TSum, TVector, TLanes>
        where T : unmanaged
        where TSum : unmanaged
        where TVector : unmanaged
        where TLanes : ILanes<TVector, TSum>
    {
        private static int PanelWidth => 2 * TLanes.Width;

        /// <summary>Whether elements are stored in the type in which they are summed.</summary>
        private static bool StoresSums => typeof(T) == typeof(TSum);

        public static void Run(Problem<T> problem)
        {
            ChooseGrid(ref problem);
            long tasks = problem.RowBlocks * problem.ColumnBlocks;
            if (tasks == 1)
            {
                MultiplyBlock(problem, 0);
            }
            else
            {
                CpuParallel.For(tasks, new Action<long>(new Tasks(problem).Run));
            }
        }

        /// <summary>Cuts the result into blocks that fit the caches, and further where that leaves cores without work.</summary>
        private static void ChooseGrid(ref Problem<T> problem)
        {
            problem.RowBlocks = DivideUp(problem.Rows, MaxBlockRows);
            problem.ColumnBlocks = DivideUp(problem.Columns, MaxBlockColumns);

            double work = (double)problem.Rows * problem.Columns * Math.Max(problem.Depth, 1);
            int workers = work < InlineWork ? 1 : Environment.ProcessorCount;
            long wanted = workers == 1 ? 1 : (long)Math.Clamp(work / TaskWork, workers, 2.0 * workers);

            // Splitting rows packs all of B once more, splitting columns all of A: split the longer side, whose partner is the smaller.
            bool splitsRows = problem.Rows > problem.Columns;
            long most = splitsRows ? DivideUp(problem.Rows, TLanes.TileRows) : DivideUp(problem.Columns, PanelWidth);
            ref long blocks = ref splitsRows ? ref problem.RowBlocks : ref problem.ColumnBlocks;
            long others = splitsRows ? problem.ColumnBlocks : problem.RowBlocks;
            blocks = Math.Max(blocks, Math.Min(most, DivideUp(wanted, others)));
            if (blocks * others < EvenBlocks * workers) blocks = EvenlyShared(blocks, others, most, workers);
        }

        private static void MultiplyBlock(in Problem<T> problem, long task)
        {
            var (firstRow, rows) = Share(problem.Rows, TLanes.TileRows, problem.RowBlocks, task / problem.ColumnBlocks);
            var (firstColumn, columns) = Share(problem.Columns, PanelWidth, problem.ColumnBlocks, task % problem.ColumnBlocks);
            var scratch = Scratch.Current;
            var c = problem.C.From(firstRow, firstColumn);

            // Sums of several slices add up beside the result, whose rows may share cache sets; the last slice puts them there.
            long slices = Math.Max(1, DivideUp(problem.Depth, MaxDepth));
            var result = new Strided<TSum>((TSum*)c.Origin, c.RowStride, 1);
            var sums = StoresSums && slices == 1 ? result : new Strided<TSum>((TSum*)scratch.Sums, SumStride, 1);

            TSum* bias = null;
            if (problem.Bias != null)
            {
                bias = (TSum*)scratch.Bias;
                long paddedColumns = DivideUp(columns, PanelWidth) * PanelWidth;
                Pack(1, columns, paddedColumns, new Strided<T>(problem.Bias + firstColumn, 0, 1), bias, 0);
            }

            // Slices of equal length, a function of k alone.
            for (long slice = 0; slice < slices; slice++)
            {
                var (firstDepth, depth) = Share(problem.Depth, 1, slices, slice);
                var (nextDepth, nextLength) = Share(problem.Depth, 1, slices, Math.Min(slice + 1, slices - 1));
                Ahead next = new(problem.A.From(firstRow, nextDepth), rows, slice < slices - 1 ? nextLength : 0);
                bool isLast = slice == slices - 1;
                MultiplySlice(
                    rows, columns, depth,
                    problem.A.From(firstRow, firstDepth), problem.B.From(firstDepth, firstColumn),
                    isLast ? bias : null, sums, isLast && StoresSums ? result : sums, accumulate: slice > 0, scratch, next);
            }

            if (!StoresSums)
            {
                for (long row = 0; row < rows; row++) RoundRow(columns, (float*)sums.At(row, 0), c.At(row, 0));
            }
        }

        /// <summary>Adds the product over one slice of k to the block's former sums, if there are any.</summary>
        private static void MultiplySlice(
            long rows, long columns, long depth,
            Strided<T> a, Strided<T> b, TSum* bias, Strided<TSum> former, Strided<TSum> sums, bool accumulate, Scratch scratch,
            in Ahead next)
        {
            TSum* block = (TSum*)scratch.Block;
            Pack(rows, depth, depth, a, block, PackedRowStride);
            long paddedRows = DivideUp(rows, TLanes.TileRows) * TLanes.TileRows;
            for (long row = rows; row < paddedRows; row++)
            {
                new Span<TSum>(block + (row * PackedRowStride), (int)depth).Clear();
            }

            for (long column = 0; column < columns; column += PanelWidth)
            {
                long width = Math.Min(PanelWidth, columns - column);
                long vectors = width > TLanes.Width ? 2 : 1;
                var source = b.From(0, column);

                // A panel that is read once or twice, and whose rows are whole vectors already, is read where it lies.
                TSum* panel = (TSum*)source.Origin;
                long panelStride = source.RowStride;
                if (!StoresSums || source.ColumnStride != 1 || width != vectors * TLanes.Width || rows > 2 * TLanes.TileRows)
                {
                    panel = (TSum*)scratch.Panel;
                    panelStride = PanelWidth;
                    Pack(depth, width, vectors * TLanes.Width, source, panel, panelStride);
                }

                // A part of what the next slice packs of A with each tile, and of what the next panel packs of B.
                long nextColumn = column + PanelWidth;
                Ahead nextPanel = new(b.From(0, nextColumn), depth, Math.Clamp(columns - nextColumn, 0, PanelWidth));
                MultiplyPanel(
                    rows, width, depth, block, panel, panelStride,
                    bias == null ? null : bias + column, former.From(0, column), sums.From(0, column), accumulate, (TSum*)scratch.Tile,
                    nextPanel, next.Part((uint)(column / PanelWidth), (uint)DivideUp(columns, PanelWidth)));
            }
        }

        /// <summary>Runs the packed block against one panel, tile by tile.</summary>
        private static void MultiplyPanel(
            long rows, long width, long depth,
            TSum* block, TSum* panel, long panelStride, TSum* bias, Strided<TSum> former, Strided<TSum> sums, bool accumulate, TSum* tile,
            in Ahead nextPanel, in Ahead nextSlice)
        {
            TileSums<TSum> to = default;
            uint index = 0, tiles = (uint)DivideUp(rows, TLanes.TileRows);
            for (long row = 0; row < rows; row += TLanes.TileRows, index++)
            {
                nextPanel.Part(index, tiles).Prefetch();
                nextSlice.Part(index, tiles).Prefetch();
                int height = (int)Math.Min(TLanes.TileRows, rows - row);
                int tileHeight = MicroKernel<TSum, TVector, TLanes>.PaddedHeight(height);
                int vectors = width > TLanes.Width ? 2 : 1;
                TSum* a = block + (row * PackedRowStride);
                if (height == tileHeight && width == vectors * TLanes.Width)
                {
                    to.Stay(former.At(row, 0), former.RowStride, accumulate);
                    to.Go(sums.At(row, 0), sums.RowStride, bias, isOfRows: false, rectifies: false, streams: false);
                    MicroKernel<TSum, TVector, TLanes>.Multiply(tileHeight, vectors, depth, a, panel, panelStride, to);
                    continue;
                }

                // The edge cuts this tile: it is computed whole beside the result, and the part that exists is copied.
                if (accumulate)
                {
                    Copy(height, width, former.At(row, 0), former.RowStride, tile, PanelWidth);
                }

                to.Stay(tile, PanelWidth, accumulate);
                to.Bias = bias;
                MicroKernel<TSum, TVector, TLanes>.Multiply(tileHeight, vectors, depth, a, panel, panelStride, to);
                Copy(height, width, tile, PanelWidth, sums.At(row, 0), sums.RowStride);
            }
        }

        /// <summary>A part of a matrix that will be packed soon (<see cref="CpuPrefetch"/>), by lines: what is contiguous of it.</summary>
        private readonly struct Ahead
        {
            private readonly byte* _first;
            private readonly long _stride, _bytes;

            /// <summary>As few as a block has, so that they are divided in 32 bits.</summary>
            private readonly uint _lines;

            public Ahead(Strided<T> matrix, long rows, long columns)
            {
                bool areRows = Math.Abs(matrix.ColumnStride) <= Math.Abs(matrix.RowStride);
                _first = (byte*)matrix.Origin;
                _stride = (areRows ? matrix.RowStride : matrix.ColumnStride) * sizeof(T);
                _bytes = (areRows ? columns : rows) * sizeof(T);
                _lines = _bytes == 0 ? 0 : (uint)(areRows ? rows : columns);
            }

            private Ahead(byte* first, uint lines, long stride, long bytes)
            {
                _first = first;
                (_lines, _stride, _bytes) = (lines, stride, bytes);
            }

            public Ahead Part(uint part, uint parts)
            {
                if (_lines == 0) return this;
                uint first = _lines * part / parts;
                return new(_first + (first * _stride), (_lines * (part + 1) / parts) - first, _stride, _bytes);
            }

            public void Prefetch()
            {
                for (uint line = 0; line < _lines; line++) CpuPrefetch.Range(_first + (line * _stride), _bytes);
            }
        }

        /// <summary>The share of one of several equal parts, in whole units; the last unit may be incomplete.</summary>
        private static (long First, long Count) Share(long length, long unit, long parts, long part)
        {
            long units = DivideUp(length, unit);
            long first = units * part / parts * unit;
            long end = Math.Min(length, units * (part + 1) / parts * unit);
            return (first, end - first);
        }

        /// <summary>The problem on the heap, where the tasks of all threads find it.</summary>
        private sealed class Tasks(Problem<T> problem)
        {
            private readonly Problem<T> _problem = problem;

            public void Run(long task) => MultiplyBlock(_problem, task);
        }
    }
}
