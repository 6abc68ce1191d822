namespace Kernels.Study;

/// <summary>
/// The file in which a run on ranks keeps where it is. The first rank reads and writes it; what it holds does not depend on the number of
/// ranks, so that a run may go on with another.
/// </summary>
internal sealed class RankCheckpoint(RankSetup setup, RankTalk talk, RankSettings settings, string run, Recipe recipe, int seed)
{
    private readonly string? _path = settings.CheckpointPath is { } path ? $"{path}.{recipe.Name}.{seed}.checkpoint" : null;
    private readonly string _run = $"{run}, {settings.Description}";

    /// <summary>The checkpoint of this run, if there is one, with training and progress as it says.</summary>
    /// <exception cref="DatasetException">It is damaged, or of another run.</exception>
    public Checkpoint? Find(RankTraining training, RankProgress state)
    {
        if (_path is null) return null;
        byte[]? file = setup.Link.IsRoot && File.Exists(_path) ? Checkpoint.Read(_path) : null;
        if (talk.FromRoot(file, "checkpoint") is not { } bytes) return null;
        Checkpoint checkpoint = Checkpoint.Parse(_path, bytes);
        if (checkpoint.Text("run") != _run)
            throw new DatasetException(_path, $"keeps another run: {checkpoint.Text("run")}; this one is {_run}");
        state.Load(checkpoint);
        training.Load(checkpoint);
        return checkpoint;
    }

    /// <summary>Every rank calls it.</summary>
    public void Write(RankTraining training, RankProgress state)
    {
        if (_path is null) return;
        if (state.Step > 0) training.CollectLosses();
        if (!setup.Link.IsRoot) return;
        Checkpoint checkpoint = new();
        checkpoint.Set("run", _run);
        state.Save(checkpoint);
        training.Save(checkpoint, state.Step);
        checkpoint.Save(_path);
    }

    /// <summary>The run is done.</summary>
    public void Delete()
    {
        if (_path is not null && setup.Link.IsRoot) File.Delete(_path);
    }
}
