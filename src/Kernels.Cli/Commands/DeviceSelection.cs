namespace Kernels.Cli.Commands;

/// <summary>The <c>--device</c> option of commands that can take several devices.</summary>
internal static class DeviceSelection
{
    /// <summary>Ids for an option's value: an id, or <c>all</c> for every device that is available.</summary>
    public static IReadOnlyList<string> Ids(string option) => option == "all"
        ? [.. Device.List().Where(device => device.Available).Select(device => device.Id)]
        : [option];

    /// <summary>What <c>all</c> left out, one sentence each.</summary>
    public static IEnumerable<string> Missing(string option) => option == "all"
        ? Device.List().Where(device => !device.Available).Select(device => $"{device.Id} was skipped: {device.Reason?.TrimEnd('.')}.")
        : [];
}
