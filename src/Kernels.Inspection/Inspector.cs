using System.IO.Compression;
using System.Runtime.ExceptionServices;
using Kernels.Devices;
using Kernels.Devices.Cuda;
using Kernels.Verification;

namespace Kernels.Inspection;

/// <summary>Which kernels and types to look at; null or empty is all.</summary>
internal sealed record InspectionRequest(string? Op, string? Kernel, IReadOnlyList<string> DTypes, string? ToolFolder, string Command);

/// <summary>What the machine code of a variant says.</summary>
/// <param name="Kernel">The kernel.</param>
/// <param name="Variant">The variant.</param>
/// <param name="Usage">Registers and memory.</param>
/// <param name="Occupancy">What follows from them.</param>
/// <param name="Code">All its instructions.</param>
/// <param name="Passes">What it must move; empty where that is not known.</param>
/// <param name="Costs">A cost for each pass, or for each loop where passes are not known or not found.</param>
/// <param name="Products">What its products reach; null where it is none of matrix products.</param>
/// <param name="Note">What keeps it from having a ceiling; empty where it has one.</param>
internal sealed record KernelInspection(
    KernelDefinition Kernel, KernelVariant Variant, ResourceUsage Usage, Occupancy Occupancy, KernelCode Code, IReadOnlyList<Pass> Passes,
    IReadOnlyList<PassCost> Costs, ProductShare? Products, string Note)
{
    public string Name => Kernel.EntryPoint;

    public bool HasCeiling => Note.Length == 0;

    /// <summary>Whether a lane's place is known from its neighbour's: not where each takes eight elements one by one.</summary>
    public bool KnowsSectors => HasCeiling && (Variant.VectorWidth > 1 || !Kernel.VectorWidths.Contains(8));

    public string VariantName => string.Join(
        ' ', Kernel.Switches.Where((_, index) => Variant.Has(index)).Prepend($"VEC={Variant.VectorWidth}"));

    public int LocalAccesses(bool stores) => Code.Instructions.Count(
        instruction => instruction.Access is { Space: MemorySpace.Local } access && access.IsStore == stores);
}

/// <summary>Compiles kernels for Hopper and reads the machine code. No GPU is needed.</summary>
internal static class Inspector
{
    public const string Architecture = "sm_90";

    /// <summary>Looks at kernels; at those that are done when it is stopped.</summary>
    /// <exception cref="ToolkitException">The disassembler or the compiler is missing.</exception>
    /// <exception cref="ArgumentException">There is no such op, kernel or type.</exception>
    public static IReadOnlyList<KernelInspection> Inspect(
        InspectionRequest request, Action<string> status, CancellationToken stop = default)
    {
        KernelDefinition[] kernels = [.. Selected(request)];
        Toolkit toolkit = Toolkit.Find(request.ToolFolder);
        if (!NvrtcProgram.TryVersion(out Version compiler, out string? reason)) throw new ToolkitException($"NVRTC: {reason}");
        // Kernels of one file share the text of a variant, so that one compilation serves them all.
        var programs =
            from kernel in kernels
            from variant in kernel.Variants
            where request.DTypes.Count == 0 || request.DTypes.Contains(variant.DType.ShortName())
            group (kernel, variant) by (kernel.File, Text: KernelSource.Assemble("cuda", kernel, variant));
        try
        {
            // The compiler takes one text at a time; meanwhile others are read.
            return [.. programs.AsParallel().AsOrdered().SelectMany(program => stop.IsCancellationRequested ? [] : Inspected(program))];
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
            throw;
        }

        KernelInspection[] Inspected(IGrouping<(string File, string Text), (KernelDefinition Kernel, KernelVariant Variant)> program)
        {
            KernelVariant first = program.First().Variant;
            lock (toolkit) status($"{program.Key.File} {first.DType.ShortName()} VEC={first.VectorWidth}");
            string listing = Listing(toolkit, program.Key.Text, program.Key.File, compiler);
            IReadOnlyDictionary<string, KernelCode> codes = SassListing.Parse(listing);
            IReadOnlyDictionary<string, ResourceUsage> usages = SassListing.ParseResources(listing);
            return [.. program.Select(member =>
            {
                ResourceUsage usage = usages[member.Kernel.EntryPoint];
                usage = usage with { SharedBytes = usage.SharedBytes + member.Kernel.SharedBytes(member.Variant) };
                return Read(member.Kernel, member.Variant, usage, codes[member.Kernel.EntryPoint]);
            })];
        }
    }

    /// <summary>A kernel by its code as <c>cuobjdump</c> prints it.</summary>
    public static KernelInspection Read(KernelDefinition kernel, KernelVariant variant, ResourceUsage usage, KernelCode code)
    {
        FlowGraph graph = new(code);
        IReadOnlyList<Pass> passes = KernelWork.Of(kernel, variant);
        PathSearch search = PassCost.SearchFor(passes, variant.DType);
        Dictionary<(CodeLoop Loop, bool IsShortest), IReadOnlyCollection<TurnPath>> known = [];
        Dictionary<Pass, PassCost> found = [];
        HashSet<CodeLoop> taken = [];
        string note = passes.Count > 0 ? ""
            : KernelWork.Multiplies(kernel) ? WithoutCeiling.IsOfProducts
            : WithoutCeiling.ReasonOf(kernel.EntryPoint) ?? "not one number of bytes for an element";
        // What stores shows better which loop it is.
        foreach (Pass pass in passes.OrderBy(pass => pass.Writes == default))
        {
            PassCost? cost = graph.Loops.Where(loop => !taken.Contains(loop) && (pass.Inner == 0 || InnerOf(loop) is not null))
                .Select(loop => PassCost.Match(graph, PathsOf(loop, pass.IsShortest), pass, variant.DType))
                .Where(cost => cost is not null)
                .OrderBy(cost => cost!.Path.Detours)
                .ThenBy(cost => cost!.Elements != pass.Elements)
                .ThenBy(cost => (double)cost!.Path.Accesses / cost.Elements!.Value)
                .ThenBy(cost => (double)cost!.Path.Forbidden / cost.Elements!.Value)
                .ThenByDescending(cost => cost!.Elements)
                .ThenBy(cost => pass.IsShortest ? cost!.Turn.Count : 0)
                .ThenByDescending(cost => cost!.Path.Loop.Depth)
                .ThenBy(cost => graph.Blocks[cost!.Path.Loop.Header].First)
                .FirstOrDefault();
            if (cost is null)
            {
                note = $"no loop moves what its pass '{pass.Name}' says";
                continue;
            }

            taken.Add(cost.Path.Loop);
            if (pass.Inner > 0 && PassCost.OfLoop(graph, PathsOf(InnerOf(cost.Path.Loop)!), pass.Name) is { } inner)
                cost = cost with { Turn = [.. cost.Turn, .. Enumerable.Repeat(inner.Turn, pass.Inner).SelectMany(turn => turn)] };
            found[pass] = cost;
        }

        IReadOnlyCollection<TurnPath> PathsOf(CodeLoop loop, bool isShortest = false)
        {
            if (!known.TryGetValue((loop, isShortest), out IReadOnlyCollection<TurnPath>? paths))
                known[(loop, isShortest)] = paths = TurnPaths.Of(graph, loop, search with { IsOfShortest = isShortest });
            return paths;
        }

        // The one loop in another; null where there is none, or several.
        CodeLoop? InnerOf(CodeLoop loop) =>
            graph.Loops.Where(inner => inner.Parent == loop).ToArray() is [var inner] ? inner : null;

        PassCost[] costs = note.Length == 0
            ? [.. passes.Select(pass => found[pass])]
            : [.. graph.Loops.Where(loop => !loop.IsKernel).Select((loop, i) =>
                PassCost.OfLoop(graph, PathsOf(loop), $"loop {i + 1}, depth {loop.Depth}")).OfType<PassCost>()];
        ProductShare? products = KernelWork.Multiplies(kernel) ? ProductShare.Of(costs) : null;
        return new KernelInspection(kernel, variant, usage, Occupancy.Of(usage, kernel.GroupSize), code, passes, costs, products, note);
    }

    /// <summary>The machine code as text, from the cache of programs where it is there: between two calls few kernels change.</summary>
    private static string Listing(Toolkit toolkit, string text, string file, Version compiler)
    {
        string key = ProgramCache.Key("listing", text, Architecture, $"NVRTC {compiler}", toolkit.Identity);
        if (ProgramCache.TryRead(key) is { } known)
        {
            using StreamReader reader = new(new BrotliStream(new MemoryStream(known), CompressionMode.Decompress));
            return reader.ReadToEnd();
        }

        string listing = toolkit.Disassemble(NvrtcProgram.Compile(text, $"kernels/{file}", Architecture));
        using MemoryStream packed = new();
        using (StreamWriter writer = new(new BrotliStream(packed, CompressionLevel.Fastest))) writer.Write(listing);
        ProgramCache.TryWrite(key, packed.ToArray());
        return listing;
    }

    private static IEnumerable<KernelDefinition> Selected(InspectionRequest request)
    {
        string[] files = request.Op is null ? [] : OpFiles.Of(request.Op);
        IEnumerable<KernelDefinition> kernels = KernelCatalog.All.Where(kernel => request.Op is null || files.Contains(kernel.File));
        if (request.Kernel is null) return kernels;
        KernelDefinition[] named = [.. kernels.Where(kernel => kernel.EntryPoint == request.Kernel)];
        return named.Length > 0 ? named : throw new ArgumentException(
            $"There is no kernel '{request.Kernel}'{(request.Op is null ? "" : $" in {request.Op}")}; "
            + $"there are {string.Join(", ", kernels.Select(kernel => kernel.EntryPoint))}.");
    }
}
