using System.CommandLine;
using System.Globalization;
using Kernels.Study;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary><c>kernels ranks</c>: what the calls of a training step take on 8 to 1,024 GPUs, by a model.</summary>
internal static class RanksCommand
{
    private static readonly int[] Gpus = [8, 16, 64, 256, 1024];

    public static Command Create()
    {
        Option<bool> json = CommandOptions.Json();
        Command command = new("ranks", "Show what training on 8 to 1,024 GPUs would spend on calls between them, by a model.") { json };
        command.SetWork((arguments, _) => Run(arguments.GetValue(json)));
        return command;
    }

    private static int Run(bool isJson)
    {
        ClusterModel cluster = new();
        StepCost[] costs = [.. ((NetworkSize[])[NetworkSize.Cnn, NetworkSize.ResNet50])
            .SelectMany(network => Gpus.Select(gpus => StepCost.Of(cluster, network, gpus)))];
        if (isJson)
        {
            Output.WriteJson(costs);
            return ExitCode.Success;
        }

        IAnsiConsole console = Output.ForPeople();
        OutputTable table = new(
            TableBorder.Markdown, ("network", false), ("GPUs", true), ("all-reduce ms", true), ("fixed order ms", true),
            ("fixed, by nodes ms", true), ("statistics ms", true), ("by nodes ms", true));
        foreach (StepCost cost in costs)
        {
            table.AddRow(
                cost.Network, cost.Gpus.ToString("N0", CultureInfo.InvariantCulture), Text(cost.Gradients), Text(cost.FixedGradients),
                Text(cost.FixedGradientsByNodes), Text(cost.Statistics), Text(cost.StatisticsByNodes));
        }

        table.Write(console);
        return ExitCode.Success;
    }

    private static string Text(double milliseconds) => milliseconds.ToString("0.000", CultureInfo.InvariantCulture);
}
