using System.CommandLine;
using Kernels.Study;

namespace Kernels.Cli.Commands;

/// <summary>What the user wants of ranks; null settings of the study mean that there are none.</summary>
internal sealed record RankRequest(int? Ranks, RankSettings Settings, CollectiveOptions Options, string? LossPath);

/// <summary>The options of <c>kernels study</c> for training on several ranks.</summary>
internal sealed class RankOptions
{
    private const int MostRanks = 1024;
    private const int MostSeconds = 86_400;

    private readonly Option<int?> _ranks = CommandOptions.Count(
        "--ranks", "Train each network on so many ranks, threads that share its batches. Under mpirun they are the processes.", MostRanks);

    private readonly Option<int?> _shards = CommandOptions.Count(
        "--shards",
        $"Shards of a batch, {RankSettings.UsualShards} if not given: any number of ranks that divides it gives the same bits.", MostRanks);

    private readonly Option<bool> _allReduce = CommandOptions.Flag(
        "--all-reduce", "One shard a rank, added up as the transport does: less work, other bits on another number of ranks.");

    private readonly Option<bool> _nccl = CommandOptions.Flag(
        "--nccl", "Between GPUs: NCCL carries the data, and each rank has a CUDA device of its own.");

    private readonly Option<int?> _timeLimit = CommandOptions.Count(
        "--time-limit", $"Seconds after which a rank that others wait for is given up; {DefaultSeconds} if not given.", MostSeconds);

    private readonly Option<string?> _losses = CommandOptions.Text(
        "--losses", "Write the loss of every step on ranks: recipe, seed, step, loss, its bits.", "FILE.csv");

    private static int DefaultSeconds => (int)new CollectiveOptions().TimeLimit.TotalSeconds;

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_ranks, _shards, _allReduce, _nccl, _timeLimit, _losses]) command.Options.Add(option);
    }

    /// <summary>The request; null where no ranks are asked for and no mpirun has started this process.</summary>
    /// <param name="arguments">The command line.</param>
    /// <param name="resumePath">Where the study keeps finished runs, and so those that are not.</param>
    public RankRequest? Read(ParseResult arguments, string? resumePath)
    {
        bool isAllReduce = arguments.GetValue(_allReduce), isNccl = arguments.GetValue(_nccl);
        if (arguments.GetValue(_ranks) is null && !Collectives.LaunchedByMpi)
        {
            if (isAllReduce || isNccl || arguments.GetValue(_shards) is not null || arguments.GetValue(_losses) is not null)
            {
                throw new ArgumentException(
                    "--shards, --all-reduce, --nccl and --losses are for ranks: give --ranks, or start with mpirun.");
            }

            return null;
        }

        if (isAllReduce && arguments.GetValue(_shards) is not null)
            throw new ArgumentException("--all-reduce has one shard a rank; --shards has a fixed number of them.");
        CollectiveOptions options = new() { TimeLimit = TimeSpan.FromSeconds(arguments.GetValue(_timeLimit) ?? DefaultSeconds) };
        return new RankRequest(
            arguments.GetValue(_ranks),
            new RankSettings
            {
                Mode = isAllReduce ? SumMode.AllReduce : SumMode.FixedTree,
                Shards = arguments.GetValue(_shards) ?? RankSettings.UsualShards,
                CheckpointPath = resumePath,
                Nccl = isNccl ? options : null,
            },
            options,
            arguments.GetValue(_losses));
    }
}
