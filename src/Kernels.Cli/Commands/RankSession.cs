using System.Globalization;
using Kernels.Study;

namespace Kernels.Cli.Commands;

/// <summary>
/// The ranks of a study: threads of this process with a device for each, or this process as one of those that mpirun started, of which the
/// first speaks for all.
/// </summary>
internal sealed class RankSession : IDisposable
{
    // Open MPI, MPICH and Intel MPI, Slurm.
    private static readonly string[] LocalRankVariables = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];

    private readonly RankRequest _request;
    private readonly ICollective? _mpi;
    private readonly List<Device> _devices = [];

    /// <exception cref="CollectiveException">MPI cannot be used.</exception>
    public RankSession(RankRequest request, string? device)
    {
        _request = request;
        if (Collectives.LaunchedByMpi) _mpi = Collectives.OpenMpi(request.Options);
        Count = _mpi?.RankCount ?? request.Ranks ?? 1;
        if (_mpi is not null && request.Ranks is { } ranks && ranks != Count)
            throw new ArgumentException($"--ranks {ranks} was given, and mpirun has started {Count}.");
        _ = new ShardPlan(request.Settings.ShardsOf(Count), Count, 0);
        string?[] ids = DeviceIds(device);
        foreach (string? id in _mpi is null ? ids.Take(Count) : [ids[LocalRank(_mpi.Rank) % ids.Length]]) _devices.Add(Device.Open(id));
    }

    public int Count { get; }

    /// <summary>Ranks are processes, and this is one of them.</summary>
    public bool IsProcess => _mpi is not null;

    /// <summary>Speaks for all.</summary>
    public bool IsRoot => _mpi is null || _mpi.Rank == 0;

    public Device Device => _devices[0];

    public string Description =>
        $"{Count} {(Count == 1 ? "rank" : "ranks")} ({_mpi?.Transport ?? "in-process"}), {_request.Settings.Description}";

    /// <summary>
    /// What results depend on: not the number of ranks where sums have a fixed order, nor ever that of a CPU's threads, of which each
    /// launcher leaves a rank as many as it likes.
    /// </summary>
    public string Conditions
    {
        get
        {
            string kind = Device.Kind == DeviceKind.Cpu ? "CPU" : $"{Device.Kind} {Device.Name}";
            string description = _request.Settings.Description;
            return _request.Settings.Mode == SumMode.FixedTree ? $"{kind}, {description}" : $"{kind}, {description} on {Count} ranks";
        }
    }

    /// <summary>Work that the first rank does for all, such as a download, before the others do it.</summary>
    public T FirstOnRoot<T>(Func<T> work)
    {
        if (_mpi is null) return work();
        T? result = IsRoot ? work() : default;
        _mpi.Barrier("images");
        return IsRoot ? result! : work();
    }

    public IReadOnlyList<RunResult> Train(
        StudyData data, StudySettings settings, IReadOnlyList<(Recipe Recipe, int Seed)> runs, string conditions, IStudyProgress progress,
        CancellationToken stop, FinishedRuns? finished)
    {
        bool goesOn = _request.Settings.CheckpointPath is not null;
        if (_request.LossPath is { } path && IsRoot) progress = new LossLog(path, goesOn, progress);
        return _mpi is null
            ? RankRuns.TrainInProcess(
                Count, _request.Options, _devices, data, settings, _request.Settings, runs, conditions, progress, WantsToStop, finished)
            : RankRuns.Train(_mpi, Device, data, settings, _request.Settings, runs, conditions, progress, WantsToStop, finished);

        bool WantsToStop() => stop.IsCancellationRequested;
    }

    /// <summary>
    /// Something is wrong here: no other rank waits for this one. Under MPI all processes end. To be called in a filter, before anything is
    /// disposed, which would wait for calls that nobody answers.
    /// </summary>
    public bool EndAll(Exception e)
    {
        if (_mpi is null) return true;
        Console.Error.WriteLine($"kernels: rank {_mpi.Rank}: {e.Message}");
        Console.Error.Flush();
        _mpi.Abort(e.Message);
        return true;
    }

    public void Dispose()
    {
        foreach (Device device in _devices) device.Dispose();
        _mpi?.Dispose();
    }

    /// <summary>Those of the user; all CUDA GPUs, or else what is opened when nothing is said.</summary>
    private static string?[] DeviceIds(string? option)
    {
        if (option is not null) return option.Split(',');
        string?[] gpus = [.. Device.List().Where(device => device.Kind == DeviceKind.Cuda && device.Available).Select(device => device.Id)];
        return gpus.Length > 0 ? gpus : [null];
    }

    /// <summary>The rank's place among those of its machine.</summary>
    private static int LocalRank(int rank) => LocalRankVariables.Select(Environment.GetEnvironmentVariable)
        .Select(text => int.TryParse(text, CultureInfo.InvariantCulture, out int place) ? place : (int?)null)
        .FirstOrDefault(place => place is not null) ?? rank;
}
