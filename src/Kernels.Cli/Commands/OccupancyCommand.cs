using System.CommandLine;
using System.Globalization;
using Kernels.Verification;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels occupancy</c>: registers, memory and occupancy of every kernel on a CUDA device.</summary>
internal static class OccupancyCommand
{
    public static Command Create()
    {
        Option<string> device = new("--device") { Description = "CUDA device id.", DefaultValueFactory = _ => "cuda:0" };
        Option<bool> json = new("--json") { Description = "Print one JSON array." };
        Command command = new("occupancy", "List registers, memory and occupancy of every kernel on a CUDA device.") { device, json };
        command.SetAction(parsed => Run(parsed.GetValue(device)!, parsed.GetValue(json)));
        return command;
    }

    private static int Run(string deviceId, bool json)
    {
        using Device device = Device.Open(deviceId);
        if (device.Kind != DeviceKind.Cuda) throw new ArgumentException($"{device} is no CUDA device; only its driver tells what a kernel costs.");
        List<KernelCost> costs = [.. KernelCatalog.Costs(device)];
        if (json)
        {
            Output.WriteJson(costs);
            return ExitCode.Success;
        }

        Table table = Output.NewTable(
            ("kernel", false), ("type", false), ("variant", false), ("registers", true), ("local bytes", true), ("shared bytes", true), ("groups", true), ("occupancy", true));
        foreach (KernelCost cost in costs)
        {
            table.AddRow(
                cost.Kernel, cost.Dtype, Markup.Escape(cost.Variant), Integer(cost.Registers), Integer(cost.LocalBytes), Integer(cost.SharedBytes),
                Integer(cost.GroupsPerMultiprocessor), cost.Occupancy.ToString("0.00", CultureInfo.InvariantCulture));
        }

        AnsiConsole.Write(table);
        return ExitCode.Success;
    }

    private static string Integer(int value) => value.ToString(CultureInfo.InvariantCulture);
}
