using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels devices</c>: every device this machine could have, and why the others are missing.</summary>
internal static class DevicesCommand
{
    public static Command Create()
    {
        Option<bool> json = CommandOptions.Json();
        Command command = new("devices", "List devices, and why a kind of device is missing.") { json };
        command.SetWork((parsed, _) => Run(parsed.GetValue(json)));
        return command;
    }

    private static int Run(bool json)
    {
        IReadOnlyList<DeviceDescription> devices = Device.List();
        if (json)
        {
            Output.WriteJson(devices.Select(
                d => new { d.Id, Kind = d.Kind.ToString().ToLowerInvariant(), d.Name, d.MemoryBytes, d.Available, d.Reason }));
            return ExitCode.Success;
        }

        OutputTable table = new(("device", false), ("name", false), ("memory", true), ("available", false));
        foreach (DeviceDescription device in devices)
        {
            string memory = device.MemoryBytes > 0 ? string.Create(CultureInfo.InvariantCulture, $"{device.MemoryBytes / 1e9:0.0} GB") : "";
            string available = device.Available ? "[green]yes[/]" : $"[yellow]no:[/] {Markup.Escape(device.Reason ?? "")}";
            table.AddRow(device.Id, Markup.Escape(device.Name), memory, available);
        }

        table.Write(Output.ForPeople());
        return ExitCode.Success;
    }
}
