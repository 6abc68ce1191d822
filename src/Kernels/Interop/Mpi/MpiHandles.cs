using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// The handles and constants of an MPI library. MPI 5.0 fixes them for all libraries that are named <c>libmpi_abi</c>; before, Open MPI's
/// are the addresses of its objects, and those of MPICH and what is built to its binary interface are numbers.
/// </summary>
/// <param name="World">MPI_COMM_WORLD.</param>
/// <param name="Byte">MPI_BYTE.</param>
/// <param name="Float">MPI_FLOAT.</param>
/// <param name="Double">MPI_DOUBLE.</param>
/// <param name="Sum">MPI_SUM.</param>
/// <param name="ErrorsReturn">MPI_ERRORS_RETURN.</param>
/// <param name="StatusIgnore">MPI_STATUS_IGNORE.</param>
/// <param name="InPlace">MPI_IN_PLACE.</param>
/// <param name="ThreadSerialized">MPI_THREAD_SERIALIZED; what allows more is larger.</param>
internal sealed record MpiHandles(
    nint World, nint Byte, nint Float, nint Double, nint Sum, nint ErrorsReturn, nint StatusIgnore, nint InPlace, int ThreadSerialized)
{
    // MPI 5.0, appendix A. Headers from before October 2025 have 0x142 for MPI_ERRORS_RETURN, and 0x143 for MPI_ERRORS_ABORT.
    private static readonly MpiHandles Standard = new(0x101, 0x247, 0x210, 0x214, 0x21, 0x143, 0, 1, 2048);

    private static readonly MpiHandles Mpich = new(
        0x44000000, 0x4c00010d, 0x4c00040a, 0x4c00080b, 0x58000003, 0x54000001, 1, -1, 2);

    /// <summary>What libraries with the binary interface of MPICH say of themselves.</summary>
    private static readonly string[] MpichFamily = ["MPICH", "Intel(R) MPI", "MVAPICH", "ParaStation"];

    /// <summary>The handles of a library, or null where nobody knows them.</summary>
    /// <param name="library">Its handle.</param>
    /// <param name="path">Its file.</param>
    /// <param name="version">What it says of itself.</param>
    public static MpiHandles? Of(nint library, string path, string version)
    {
        if (Path.GetFileName(path).StartsWith("libmpi_abi", StringComparison.Ordinal)) return Standard;
        if (NativeLibrary.TryGetExport(library, "ompi_mpi_comm_world", out nint world)) return OpenMpi(library, world);
        return Array.Exists(MpichFamily, name => version.Contains(name, StringComparison.OrdinalIgnoreCase)) ? Mpich : null;
    }

    private static MpiHandles OpenMpi(nint library, nint world)
    {
        return new MpiHandles(
            world, Address("ompi_mpi_byte"), Address("ompi_mpi_float"), Address("ompi_mpi_double"), Address("ompi_mpi_op_sum"),
            Address("ompi_mpi_errors_return"), StatusIgnore: 0, InPlace: 1, ThreadSerialized: 2);

        nint Address(string name) => NativeLibrary.GetExport(library, name);
    }
}
