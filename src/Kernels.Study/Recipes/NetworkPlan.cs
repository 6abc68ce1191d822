namespace Kernels.Study;

/// <summary>The network that a recipe asks for.</summary>
internal abstract record NetworkPlan
{
    /// <summary>The method that acts inside of it; null for none.</summary>
    public Method? Method { get; init; }

    /// <summary>What sets it apart from the settings' own network, for the report; null when it is that.</summary>
    public abstract string? Description(StudySettings settings);

    /// <summary>New layers for one run, from images to logits.</summary>
    public abstract IReadOnlyList<Layer> Layers(StudySettings settings);
}
