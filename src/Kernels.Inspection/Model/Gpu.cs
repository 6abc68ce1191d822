namespace Kernels.Inspection;

/// <summary>
/// The numbers that a ceiling is made of. All are of Hopper; where a GPU runs at another clock the ceilings move with it.
/// </summary>
/// <param name="Name">As the command takes it.</param>
/// <param name="FullName">As people call it.</param>
/// <param name="CopyBytesPerSecond">What a large copy reaches, bytes read and bytes written together.</param>
/// <param name="AimedShare">The share of a copy's rate that every kernel is to have room for.</param>
internal sealed record Gpu(string Name, string FullName, double CopyBytesPerSecond, double AimedShare)
{
    // NVIDIA H100 Tensor Core GPU Architecture (whitepaper, 2022), SXM5: 132 multiprocessors, 1.98 GHz at most. Under a load of memory the
    // clock stays below; 1.7 GHz is assumed.
    public const int Multiprocessors = 132;
    public const double Clock = 1.7e9;

    // CUDA C++ Programming Guide, compute capability 9.0 ("Throughput of Native Arithmetic Instructions"): lanes a clock and
    // multiprocessor. Four schedulers issue an instruction of a warp each.
    public const int IssueLanes = 128;
    public const int FmaLanes = 128;
    public const int AluLanes = 64;
    public const int Fp64Lanes = 64;
    public const int XuLanes = 16;
    public const int LsuLanes = 32;

    /// <summary>The half of the FMA units that takes integer products; Nsight Compute documentation, "Pipelines".</summary>
    public const int FmaHeavyLanes = 64;

    /// <summary>Multiply-adds of half types on tensor cores (the whitepaper: 989 TFLOP/s at 1.83 GHz).</summary>
    public const int TensorFmas = 2048;

    /// <summary>
    /// The share of them that the instructions of a warp (mma.sync) reach; Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU
    /// Architecture" (2024).
    /// </summary>
    public const double WarpProductShare = 0.62;

    /// <summary>Multiply-adds of a warp's product, 16 x 8 x 16.</summary>
    public const int WarpProductFmas = 2048;

    /// <summary>Bytes that a multiprocessor's L1 cache moves in a clock: a warp's access of 16 bytes a lane takes four.</summary>
    public const int L1Bytes = 128;

    // CUDA C++ Programming Guide, compute capability 9.0 ("Technical Specifications per Compute Capability").
    public const int ThreadsPerMultiprocessor = 2048;
    public const int GroupsPerMultiprocessor = 32;
    public const int RegistersPerMultiprocessor = 65536;
    public const int SharedBytesPerMultiprocessor = 228 << 10;

    /// <summary>Shared memory that the system takes of each group.</summary>
    public const int ReservedSharedBytes = 1 << 10;

    /// <summary>Registers are given to a warp in portions of 256.</summary>
    public const int RegisterUnit = 256;

    public const int WarpLanes = 32;

    /// <summary>What the L2 cache reads, writes and keeps the state of.</summary>
    public const int SectorBytes = 32;

    /// <summary>
    /// Sectors that the whole L2 cache serves in a second: 5.5 TB/s of reads, as measured (Chips and Cheese, "Nvidia's H100", 2023). A
    /// store takes the turn of each sector that it touches, whole or in part, which is this model's assumption.
    /// </summary>
    public const double SectorsPerSecond = 5.5e12 / SectorBytes;

    // Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture" (2024): a load from memory takes about 480 clocks where
    // nothing else is asked for. Memory that is busy takes longer; twice that is assumed.
    public const int MemoryLatency = 960;
    public const int SharedLatency = 30;

    // The same, and Jia et al., "Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking" (2018).
    public const int ArithmeticLatency = 4;
    public const int XuLatency = 20;
    public const int UniformLatency = 10;
    public const int Fp64Latency = 16;

    /// <summary>The GPUs that can be asked for. A copy reaches about 90 % of the memory's rate: 3.35 and 4.8 TB/s.</summary>
    public static IReadOnlyList<Gpu> All { get; } =
        [new("h100", "H100 SXM", 3.0e12, 0.95), new("h200", "H200 SXM", 4.3e12, 0.90)];

    /// <summary>Bytes of a copy in a clock, for each multiprocessor.</summary>
    public double CopyBytesPerClock => CopyBytesPerSecond / (Multiprocessors * Clock);

    public static double SectorsPerClock => SectorsPerSecond / (Multiprocessors * Clock);
}
