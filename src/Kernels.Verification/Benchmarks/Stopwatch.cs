namespace Kernels.Verification;

/// <summary>Times device work.</summary>
public static class Stopwatch
{
    /// <summary>Device seconds of what <paramref name="work"/> queues: the time between two events around it.</summary>
    public static double Seconds(DeviceStream stream, Action work)
    {
        using DeviceEvent start = stream.Record();
        work();
        using DeviceEvent end = stream.Record();
        return end.ElapsedSince(start).TotalSeconds;
    }

    /// <summary>The middle value; the mean of the middle two for an even number.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
