namespace Kernels.Inspection;

/// <summary>
/// One loop of a kernel's variant, as <c>kernels inspect --json</c> prints it. Pipes are counted in instructions of a warp for one turn;
/// with <c>elements</c>, of a lane and turn, they are what an element costs. A row without elements has no ceiling, and <c>note</c> says
/// why.
/// </summary>
internal sealed record InspectRow(
    string Kernel,
    string File,
    string Dtype,
    string Variant,
    int GroupSize,
    int Registers,
    int LocalBytes,
    int LocalLoads,
    int LocalStores,
    int SharedBytes,
    int GroupsPerMultiprocessor,
    string OccupancyLimit,
    double Occupancy,
    int CodeInstructions,
    string Loop,
    int? Elements,
    int Instructions,
    double? InstructionsPerElement,
    int Fma,
    int FmaHeavy,
    int Alu,
    int Xu,
    int Fp64,
    int Lsu,
    int Control,
    int Uniform,
    int Tensor,
    int Other,
    int Clocks,
    string Loads,
    string Stores,
    double? LoadedBytesPerElement,
    double? StoredBytesPerElement,
    int? LeastBytesPerElement,
    double? SectorsPerLoad,
    double? LeastSectorsPerLoad,
    double? SectorsPerStore,
    double? LeastSectorsPerStore,
    double? H100FractionOfCopy,
    string? H100Bound,
    double? H200FractionOfCopy,
    string? H200Bound,
    double? FractionOfPeak,
    string? PeakBound,
    string? Note)
{
    public static IEnumerable<InspectRow> From(KernelInspection kernel)
    {
        Ceiling?[] ceilings = [.. Gpu.All.Select(gpu => kernel.HasCeiling ? Ceiling.Of(gpu, kernel) : null)];
        for (int i = 0; i < kernel.Costs.Count; i++)
        {
            PassCost cost = kernel.Costs[i];
            Pass? pass = kernel.HasCeiling ? kernel.Passes[i] : null;
            ProductShare? products = kernel.Products?.Cost == cost ? kernel.Products : null;
            Sectors? loads = kernel.KnowsSectors ? cost.SectorsOf(stores: false) : null;
            Sectors? stores = kernel.KnowsSectors ? cost.SectorsOf(stores: true) : null;
            yield return new InspectRow(
                kernel.Kernel.EntryPoint, kernel.Kernel.File, kernel.Variant.DType.ShortName(), kernel.VariantName, kernel.Kernel.GroupSize,
                kernel.Usage.Registers, kernel.Usage.LocalBytes, kernel.LocalAccesses(stores: false), kernel.LocalAccesses(stores: true),
                kernel.Usage.SharedBytes, kernel.Occupancy.Groups, kernel.Occupancy.Limit, kernel.Occupancy.Share,
                kernel.Code.Instructions.Count, cost.Name, cost.Elements, cost.Turn.Count, PerElement(cost.Turn.Count),
                cost.Count(Pipe.Fma), cost.Count(Pipe.FmaHeavy), cost.Count(Pipe.Alu), cost.Count(Pipe.Xu), cost.Count(Pipe.Fp64),
                cost.Count(Pipe.Lsu), cost.Count(Pipe.Control), cost.Count(Pipe.Uniform), cost.Count(Pipe.Tensor), cost.Count(Pipe.Other),
                cost.Clocks, cost.Widths(stores: false), cost.Widths(stores: true),
                PerElement(cost.Path.LoadedBytes), PerElement(cost.Path.StoredBytes),
                pass is null ? null : pass.Reads.Bytes(kernel.Variant.DType) + pass.Writes.Bytes(kernel.Variant.DType),
                PerRequest(loads, sectors => sectors.Touched), PerRequest(loads, sectors => sectors.Least),
                PerRequest(stores, sectors => sectors.Touched), PerRequest(stores, sectors => sectors.Least),
                ceilings[0]?.FractionOfCopy, ceilings[0]?.Bound, ceilings[1]?.FractionOfCopy, ceilings[1]?.Bound,
                products?.OfPeak, products?.Bound,
                kernel.HasCeiling ? null : kernel.Note);

            double? PerElement(int count) => (double)count / cost.Elements;
        }
    }

    private static double? PerRequest(Sectors? sectors, Func<Sectors, int> count) =>
        sectors is { Requests: > 0 } ? (double)count(sectors) / sectors.Requests : null;
}
