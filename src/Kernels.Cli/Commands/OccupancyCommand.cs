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
        Option<string?> device = CommandOptions.Text("--device", "CUDA device id.", "ID", "cuda:0");
        Option<bool> json = CommandOptions.Json();
        Command command = new("occupancy", "List registers, memory and occupancy of every kernel on a CUDA device.") { device, json };
        command.SetWork((parsed, stop) => Run(parsed.GetValue(device)!, parsed.GetValue(json), stop));
        return command;
    }

    private static int Run(string deviceId, bool json, CancellationToken stop)
    {
        using Device device = Device.Open(deviceId);
        if (device.Kind != DeviceKind.Cuda)
            throw new ArgumentException($"{device} is no CUDA device; only its driver tells what a kernel costs.");
        List<KernelCost> costs = [.. KernelCatalog.Costs(device).TakeWhile(_ => !stop.IsCancellationRequested)];
        if (json) Output.WriteJson(costs);
        else Print(costs);
        return stop.IsCancellationRequested ? ExitCode.Interrupted : ExitCode.Success;
    }

    private static void Print(List<KernelCost> costs)
    {
        OutputTable table = new(
            ("kernel", false), ("type", false), ("variant", false), ("registers", true), ("local bytes", true), ("shared bytes", true),
            ("groups", true), ("occupancy", true));
        foreach (KernelCost cost in costs)
        {
            table.AddRow(
                cost.Kernel, cost.Dtype, Markup.Escape(cost.Variant),
                Integer(cost.Registers), Integer(cost.LocalBytes), Integer(cost.SharedBytes),
                Integer(cost.GroupsPerMultiprocessor), cost.Occupancy.ToString("0.00", CultureInfo.InvariantCulture));
        }

        table.Write(Output.ForPeople());
    }

    private static string Integer(int value) => value.ToString(CultureInfo.InvariantCulture);
}
