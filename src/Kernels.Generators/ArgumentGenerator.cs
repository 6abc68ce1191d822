using System.Collections.Immutable;
using Microsoft.CodeAnalysis;

namespace Kernels.Generators;

/// <summary>
/// Makes the argument records of the kernels, and the names of their entry points, from the texts under <c>kernels/</c>. What a text says
/// is not said again in C#, so the two cannot differ. The rules stand in <c>kernels/README.md</c>.
/// </summary>
[Generator]
public sealed class ArgumentGenerator : IIncrementalGenerator
{
    /// <summary>The step whose value decides whether a text's records are written anew; tests ask for it.</summary>
    public const string DeclarationsStep = "Declarations";

    private static readonly DiagnosticDescriptor Unreadable = new(
        "KERNEL001", "A kernel's text cannot be read", "{0}", "Kernels", DiagnosticSeverity.Error, isEnabledByDefault: true);

    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValuesProvider<KernelText> texts = context.AdditionalTextsProvider
            .Where(static text => KernelText.IsKernelText(text.Path))
            .Select(static (text, cancellation) => KernelText.Read(text.Path, text.GetText(cancellation)));
        IncrementalValueProvider<string> rootNamespace = context.AnalyzerConfigOptionsProvider.Select(
            static (options, _) => options.GlobalOptions.TryGetValue("build_property.RootNamespace", out string? name) ? name : "Kernels");
        IncrementalValuesProvider<KernelDeclarations> declarations =
            texts.Select(static (text, _) => text.Declarations).WithTrackingName(DeclarationsStep);

        context.RegisterSourceOutput(declarations.Combine(rootNamespace), static (output, pair) => Write(output, pair.Left, pair.Right));
        context.RegisterSourceOutput(texts.Collect(), static (output, texts) => Report(output, texts));
    }

    private static void Write(SourceProductionContext output, KernelDeclarations text, string rootNamespace)
    {
        if (text.Lists.Items.IsEmpty && text.EntryPoints.Items.IsEmpty) return;
        output.AddSource($"{text.File.Replace('/', '.')}.g.cs", SourceWriter.Write(text, rootNamespace));
    }

    private static void Report(SourceProductionContext output, ImmutableArray<KernelText> texts)
    {
        HashSet<string> lists = [];
        IEnumerable<Problem> duplicates =
            from place in texts.SelectMany(text => text.Lists.Items)
            where !lists.Add(place.Name)
            select place.Problem($"{Names.Record(place.Name)} is made of another list already");
        IEnumerable<Problem> problems = [.. texts.SelectMany(text => text.Problems.Items), .. duplicates];
        IEnumerable<Problem> unknown =
            from place in texts.SelectMany(text => text.Uses.Items)
            where !lists.Contains(place.Name)
            select place.Problem($"no text defines {place.Name.ToUpperInvariant()}{Names.ListSuffix}");
        foreach (Problem problem in problems.Concat(unknown))
            output.ReportDiagnostic(Diagnostic.Create(Unreadable, problem.Location, problem.Message));
    }
}
