using Kernels.Interop;

namespace Kernels;

/// <summary>Makes groups of ranks that exchange tensors; each rank gets its <see cref="ICollective"/>.</summary>
public static class Collectives
{
    /// <summary>A group of threads of this process: one <see cref="ICollective"/> for each, in the order of ranks.</summary>
    /// <param name="rankCount">How many ranks.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no rank, or an option is out of its range.</exception>
    public static ICollective[] CreateInProcess(int rankCount, CollectiveOptions? options = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rankCount, 1);
        InProcessGroup group = new(rankCount);
        options ??= new CollectiveOptions();
        options.Validate();
        return [.. Enumerable.Range(0, rankCount).Select(rank => new InProcessCollective(group, rank, options))];
    }

    /// <summary>This process is one of those that <c>mpirun</c> (Open MPI, or MPICH and its relatives) started.</summary>
    public static bool LaunchedByMpi => MpiRuntime.LaunchedRanks is not null;

    /// <summary>
    /// The group of all processes that <c>mpirun</c> started; of this one alone without it. The library is found by name, the launcher's
    /// own first: Open MPI, MPICH and what has its binary interface, or <c>libmpi_abi</c> of MPI 5; <c>KERNELS_LIBMPI</c> names another.
    /// </summary>
    /// <remarks>
    /// MPI is started with the first group, and ended when the process exits, if all its groups were disposed and none failed. A process
    /// that exits otherwise, or is killed, is a failure to the launcher, which ends the others.
    /// </remarks>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <exception cref="DeviceNotAvailableException">No library can be loaded, or not the launcher's; the message says what was
    /// tried.</exception>
    /// <exception cref="CollectiveException">A rank did not come within the time limit.</exception>
    /// <exception cref="InvalidOperationException">MPI was started for one thread, or was ended already.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static ICollective OpenMpi(CollectiveOptions? options = null)
    {
        options ??= new CollectiveOptions();
        options.Validate();
        return MpiCollective.Open(options);
    }

    /// <summary>A new id by which the ranks of one group over NCCL find each other: made by one rank, and handed to all.</summary>
    /// <exception cref="DeviceNotAvailableException">NCCL 2.14 or later cannot be loaded; the message says what was tried.</exception>
    /// <exception cref="CollectiveException">NCCL fails.</exception>
    public static byte[] CreateNcclId() => NcclCollective.CreateId();

    /// <summary>
    /// A rank of a group over NCCL, which all ranks open at the same time, each with a GPU of its own. The library is found by name;
    /// <c>KERNELS_LIBNCCL</c> names another.
    /// </summary>
    /// <param name="device">The rank's GPU: its tensors and streams are of this device.</param>
    /// <param name="id">That of <see cref="CreateNcclId"/>, the same on all ranks.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="rankCount">How many ranks there are.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <exception cref="ArgumentException">The device is no CUDA device, or the id has another length.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such rank, or an option is out of its range.</exception>
    /// <exception cref="DeviceNotAvailableException">NCCL 2.14 or later cannot be loaded; the message says what was tried.</exception>
    /// <exception cref="CollectiveException">NCCL fails, or a rank did not come within the time limit.</exception>
    public static ICollective OpenNccl(
        Device device, ReadOnlySpan<byte> id, int rank, int rankCount, CollectiveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentOutOfRangeException.ThrowIfLessThan(rankCount, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(rank, rankCount);
        if (id.Length != NcclUniqueId.Bytes)
            throw new ArgumentException($"Collectives.OpenNccl: the id has {id.Length} bytes, not {NcclUniqueId.Bytes}.", nameof(id));
        options ??= new CollectiveOptions();
        options.Validate();
        return NcclCollective.Open(device, id, rank, rankCount, options);
    }

    /// <summary>A group over NCCL of the ranks of another group, which carries the id to them; it stays the caller's.</summary>
    /// <param name="device">The rank's GPU: its tensors and streams are of this device.</param>
    /// <param name="ranks">The ranks: processes under MPI, say.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <inheritdoc cref="OpenNccl(Device, ReadOnlySpan{byte}, int, int, CollectiveOptions?)" path="/exception"/>
    public static ICollective OpenNccl(Device device, ICollective ranks, CollectiveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(ranks);
        using Device host = Device.Open("cpu");
        using DeviceStream stream = host.CreateStream();
        byte[] id = ranks.Rank == 0 ? CreateNcclId() : new byte[NcclUniqueId.Bytes];
        using DeviceTensor<byte> travelling = host.Upload<byte>(id, id.Length);
        ranks.Broadcast(stream, travelling, purpose: "the id of a group over NCCL");
        options ??= new CollectiveOptions();
        return OpenNccl(
            device, travelling.ToArray(stream), ranks.Rank, ranks.RankCount,
            options with { RanksPerNode = options.RanksPerNode ?? ranks.RanksPerNode });
    }
}
