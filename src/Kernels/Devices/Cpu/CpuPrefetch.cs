using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Devices.Cpu;

/// <summary>
/// Asks for memory that is needed soon. The hardware foresees what lies behind what was read, but hardly beyond a page, and not the next of
/// many planes or rows: where they are short, cores would wait for the first lines of each.
/// </summary>
internal static unsafe class CpuPrefetch
{
    /// <summary>What is asked for at a time.</summary>
    public const int LineBytes = 64;

    /// <summary>Brings a range into the second-level cache. It may reach past the end of an allocation: nothing is read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Range(void* first, long bytes)
    {
        if (!Sse.IsSupported) return;
        for (byte* line = (byte*)first, end = line + bytes; line < end; line += LineBytes) Sse.Prefetch1(line);
    }

    /// <summary>Rows that are asked for in equal parts, each while something else is done.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="rows">How many.</param>
    /// <param name="bytes">Of a row.</param>
    /// <param name="stride">Bytes from one row to the next.</param>
    /// <param name="parts">How many parts they are asked for in.</param>
    public struct RowsAhead(void* first, long rows, long bytes, long stride, long parts)
    {
        private readonly long _part = (((rows * bytes) / Math.Max(1, parts) / LineBytes) + 1) * LineBytes;
        private byte* _row = (byte*)first;
        private long _rows = bytes > 0 ? rows : 0;
        private long _done;

        /// <summary>Asks for the next part; nothing once all were asked for.</summary>
        public void Next()
        {
            for (long left = _part; left > 0 && _rows > 0;)
            {
                long count = Math.Min(left, bytes - _done);
                Range(_row + _done, count);
                left -= count;
                _done += count;
                if (_done < bytes) return;
                _row += stride;
                _done = 0;
                _rows--;
            }
        }
    }
}
